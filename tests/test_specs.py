import pytest

from cka_cli.errors import UsageError
from cka_cli.specs import KERNELS, MEASURES, Spec, parse_kernel, parse_measure

CANONICAL_KERNELS = [
    ("linear", "linear"),
    (" linear ", "linear"),
    ("rbf", "rbf:sigma=0.8"),
    ("rbf:sigma=0.4", "rbf:sigma=0.4"),
    ("rbf:sigma=.4", "rbf:sigma=0.4"),
    ("rbf: sigma = 4e-1 ", "rbf:sigma=0.4"),
    ("rbf:sigma=1.0", "rbf:sigma=1"),
    ("rbf:gamma=0.01", "rbf:gamma=0.01"),
    ("rbf:gamma=1e-5", "rbf:gamma=1e-05"),
    ("rbf:gamma=auto", "rbf:sigma=0.8"),
    ("polynomial", "polynomial:degree=3,gamma=auto,coef0=1"),
    ("poly", "polynomial:degree=3,gamma=auto,coef0=1"),
    ("poly:coef0=0,degree=2", "polynomial:degree=2,gamma=auto,coef0=0"),
    ("polynomial:degree=3,gamma=0.002,coef0=1", "polynomial:degree=3,gamma=0.002,coef0=1"),
    ("polynomial:gamma=auto,coef0=-1.5", "polynomial:degree=3,gamma=auto,coef0=-1.5"),
    ("polynomial:degree=2.0", "polynomial:degree=2,gamma=auto,coef0=1"),
    ("sigmoid", "sigmoid:gamma=auto,coef0=1"),
    ("sigmoid:gamma=0.002,coef0=1", "sigmoid:gamma=0.002,coef0=1"),
    ("laplacian", "laplacian:gamma=auto"),
    ("laplacian:gamma=2", "laplacian:gamma=2"),
    ("cosine", "cosine"),
]
CANONICAL_MEASURES = [
    *((name, name) for name, words in MEASURES.items() if not words.parameters),
    ("svcca-r2", "svcca-r2:variance=0.99"),
    ("svcca-r2:variance=0.9", "svcca-r2:variance=0.9"),
    ("svcca-rho:variance=1", "svcca-rho:variance=1"),
    (" svcca-rho : variance = 0.95", "svcca-rho:variance=0.95"),
]
WRONG_KERNELS = [
    ("liner", "kernel 'liner': no such kernel; did you mean 'linear'? (see: cka measures)"),
    ("", "kernel '': no such kernel (see: cka measures)"),
    (":sigma=1", "kernel ':sigma=1': no such kernel (see: cka measures)"),
    ("linear,rbf", "kernel 'linear,rbf': one kernel at a time; repeat the option for more"),
    ("linear:gamma=1", "kernel 'linear:gamma=1': linear has no parameter 'gamma'; it takes none"),
    ("rbf:width=1", "kernel 'rbf:width=1': rbf has no parameter 'width'; it takes sigma, gamma"),
    ("poly:d=2", "kernel 'poly:d=2': polynomial has no parameter 'd'; it takes degree, gamma, coef0"),
    ("rbf:", "kernel 'rbf:': rbf has no parameter ''; it takes sigma, gamma"),
    ("rbf:sigma=1,", "kernel 'rbf:sigma=1,': rbf has no parameter ''; it takes sigma, gamma"),
    ("rbf:sigma", "kernel 'rbf:sigma': give 'sigma' one value, as sigma=VALUE"),
    ("rbf:sigma=1,sigma=2", "kernel 'rbf:sigma=1,sigma=2': give 'sigma' one value, as sigma=VALUE"),
    (
        "rbf:sigma=1,gamma=2",
        "kernel 'rbf:sigma=1,gamma=2': sigma and gamma both set the width; give one of them",
    ),
    ("rbf:sigma=", "kernel 'rbf:sigma=': sigma must be a number above 0 (found '')"),
    ("rbf:sigma=0", "kernel 'rbf:sigma=0': sigma must be a number above 0 (found '0')"),
    ("rbf:sigma=-1", "kernel 'rbf:sigma=-1': sigma must be a number above 0 (found '-1')"),
    ("rbf:sigma=wide", "kernel 'rbf:sigma=wide': sigma must be a number above 0 (found 'wide')"),
    ("rbf:sigma=nan", "kernel 'rbf:sigma=nan': sigma must be a number above 0 (found 'nan')"),
    ("rbf:sigma=inf", "kernel 'rbf:sigma=inf': sigma must be a number above 0 (found 'inf')"),
    ("rbf:sigma=auto", "kernel 'rbf:sigma=auto': sigma must be a number above 0 (found 'auto')"),
    ("poly:degree=0", "kernel 'poly:degree=0': degree must be a whole number from 1 (found '0')"),
    ("poly:degree=2.5", "kernel 'poly:degree=2.5': degree must be a whole number from 1 (found '2.5')"),
    ("poly:degree=inf", "kernel 'poly:degree=inf': degree must be a whole number from 1 (found 'inf')"),
    ("poly:coef0=inf", "kernel 'poly:coef0=inf': coef0 must be a number (found 'inf')"),
    ("poly:coef0=auto", "kernel 'poly:coef0=auto': coef0 must be a number (found 'auto')"),
    ("sigmoid:gamma=0", "kernel 'sigmoid:gamma=0': gamma must be a number above 0 (found '0')"),
]
WRONG_MEASURES = [
    ("ckaa", "measure 'ckaa': no such measure; did you mean 'cka'? (see: cka measures)"),
    ("correlation", "measure 'correlation': no such measure (see: cka measures)"),
    ("cka:variance=1", "measure 'cka:variance=1': cka has no parameter 'variance'; it takes none"),
    ("svcca-r2:keep=9", "measure 'svcca-r2:keep=9': svcca-r2 has no parameter 'keep'; it takes variance"),
    (
        "svcca-r2:variance=0",
        "measure 'svcca-r2:variance=0': variance must be a number above 0 and at most 1 (found '0')",
    ),
    (
        "svcca-r2:variance=99",
        "measure 'svcca-r2:variance=99': variance must be a number above 0 and at most 1 (found '99')",
    ),
    (
        "svcca-r2:variance=99%",
        "measure 'svcca-r2:variance=99%': variance must be a number above 0 and at most 1 (found '99%')",
    ),
]


@pytest.mark.parametrize(("typed", "canonical"), CANONICAL_KERNELS)
def test_kernel_in_full_canonical_form(typed, canonical):
    assert str(parse_kernel(typed)) == canonical


@pytest.mark.parametrize(("typed", "canonical"), CANONICAL_MEASURES)
def test_measure_in_full_canonical_form(typed, canonical):
    assert str(parse_measure(typed)) == canonical


@pytest.mark.parametrize("canonical", sorted({canonical for _, canonical in CANONICAL_KERNELS}))
def test_canonical_form_of_a_kernel_reads_back_the_same(canonical):
    assert str(parse_kernel(canonical)) == canonical


@pytest.mark.parametrize("canonical", sorted({canonical for _, canonical in CANONICAL_MEASURES}))
def test_canonical_form_of_a_measure_reads_back_the_same(canonical):
    assert str(parse_measure(canonical)) == canonical


@pytest.mark.parametrize(("typed", "message"), WRONG_KERNELS)
def test_what_is_wrong_with_a_kernel(typed, message):
    with pytest.raises(UsageError) as caught:
        parse_kernel(typed)
    assert str(caught.value) == message
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(("typed", "message"), WRONG_MEASURES)
def test_what_is_wrong_with_a_measure(typed, message):
    with pytest.raises(UsageError) as caught:
        parse_measure(typed)
    assert str(caught.value) == message
    assert caught.value.exit_status == 2


def test_specs_that_mean_the_same_are_equal():
    assert parse_kernel("poly") == parse_kernel("polynomial:coef0=1.0,degree=3,gamma=auto")
    assert parse_kernel("rbf") == parse_kernel("rbf:sigma=0.8") != parse_kernel("rbf:gamma=0.8")
    assert len({parse_measure("svcca-r2"), parse_measure("svcca-r2:variance=0.99")}) == 1


def test_parameters_are_read_by_name():
    spec = parse_kernel("poly:degree=2")
    assert (spec.get("degree"), spec.get("gamma"), spec.get("coef0"), spec.get("sigma")) == (2, None, 1, None)
    assert isinstance(spec.get("degree"), int)
    assert Spec("linear").get("gamma") is None


def test_defaults_are_those_of_the_design():
    defaults = {name: {each.name: each.default for each in words.parameters} for name, words in KERNELS.items()}
    assert defaults == {
        "linear": {},
        "polynomial": {"degree": 3, "gamma": None, "coef0": 1},
        "rbf": {"sigma": 0.8, "gamma": None},
        "sigmoid": {"gamma": None, "coef0": 1},
        "laplacian": {"gamma": None},
        "cosine": {},
    }


def test_a_spec_given_twice_is_computed_once(compare_layers):
    rows = [[float(row), float(row**2)] for row in range(6)]
    comparison = compare_layers({"x": rows}, measures=["cka", "cka"], kernels=["poly", "polynomial:degree=3", "linear"])
    found = [(matrix.measure, matrix.kernel) for matrix in comparison.matrices]
    assert found == [("cka", "polynomial:degree=3,gamma=auto,coef0=1"), ("cka", "linear")]


def test_no_measure_or_no_kernel_at_all(compare_layers):
    for options in ({"measures": []}, {"kernels": []}):
        with pytest.raises(UsageError, match=r"^--measure, --kernel: one of them has no name"):
            compare_layers({"x": [[0.0], [1.0], [3.0]]}, **options)


@pytest.mark.parametrize(("typed", "meant"), [("RBF:sigma=0.4", "rbf:sigma=0.4"), ("gaussian", "rbf:sigma=0.8")])
def test_capitals_and_the_other_name_of_rbf_are_understood(typed, meant):
    assert str(parse_kernel(typed)) == meant
