"""Folders of files of one format: each array of each file is a layer, but where files are shards, rows of the same.

NPY files are arrays by themselves; of other formats the arrays of a file carry its name before their own.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cka_cli.errors import DataError, counted
from cka_cli.files import shards
from cka_cli.files.joined import at_rest, joined, why_not_joined
from cka_cli.files.layer import ActivationFile, Layer
from cka_cli.files.listing import Others, found_in, head_of, is_hidden, read_in, shown
from cka_cli.files.npy import npy_layer
from cka_cli.files.registry import NPY_MAGIC, open_file
from cka_cli.files.shards import Run
from cka_cli.files.sorting import SortedOut
from cka_cli.options import ReadOptions

_NPY = "NPY"
_IF_LAYERS = "--shards separate if they are layers"


@dataclass
class Member:
    """What a file of the folder holds, by the names of its arrays; an NPY file holds one that has none.

    name : of the file in the folder, without its ending.
    """

    name: str
    arrays: dict[str, Layer] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def n_rows(self) -> int | None:
        """Rows of its layers; None where they differ or there are none."""
        counts = {array.shape[0] for array in self.arrays.values() if len(array.shape) > 1}
        counts = counts or {array.shape[0] for array in self.arrays.values() if array.shape}
        return counts.pop() if len(counts) == 1 else None

    @property
    def kind(self) -> dict[str, tuple[object, ...]]:
        """What is alike in files that are rows of the same layers."""
        return {key: (array.shape[1:], array.dtype) for key, array in self.arrays.items() if len(array.shape) > 1}


def open_folder(path: str, options: ReadOptions) -> ActivationFile:
    """Return the arrays of the files of a folder and its subfolders, in natural order, shards joined."""
    found, links = found_in(path)
    by_format = read_in(path, found)
    others = Others()
    read = {name for names in by_format.values() for name in names}
    hidden = [name for name in found if name.endswith(".npy") and is_hidden(name)]
    for name in found:
        if name not in read and not name.endswith(".npy"):
            others.add(name, head_of(f"{path}/{name}"))
    hidden = [name for name in hidden if head_of(f"{path}/{name}").startswith(NPY_MAGIC)]
    if len(by_format) > 1:
        firsts = ", ".join(f"{names[0]} is {kind}" for kind, names in by_format.items())
        raise DataError(f"{path}: is a folder of files of several formats ({firsts}); give them by themselves")
    if not read and not hidden:
        instead = [*others.arrays, *(f"a link to a folder, {name}" for name in links), *others.plain]
        raise DataError(
            f"{path}: is a folder without files of activations{f' (found {shown(instead)})' if instead else ''}; "
            "give one of its files, or a folder of files of one format"
        )
    ((kind, files),) = by_format.items() if by_format else [(_NPY, [])]
    stems = [os.path.splitext(file)[0] for file in files]
    if len(set(stems)) < len(stems):
        stems = list(files)
    members = [_opened(path, file, stem, kind) for file, stem in zip(files, stems, strict=True)]
    members += [_opened(path, name, name.removesuffix(".npy"), _NPY) for name in hidden]
    folder = _Folder(path, options.shards, kind == _NPY)
    folder.take_in(members, [file.removeprefix(stem) for file, stem in zip(files, stems, strict=True)])
    rule = f"{path}: of a folder only .npy files are read"
    notes = others.note(rule if kind == _NPY else f"{path}: of this folder only {kind} files are read",
                        "give other files by themselves")  # fmt: skip
    if links:
        notes += (f"{path}: links to folders are not followed, so not {shown(links)}; give them by themselves",)
    return folder.file(f"folder of {kind}", notes)


def _opened(path: str, file: str, stem: str, kind: str) -> Member:
    place, member = os.path.join(path, file), Member(stem)
    if kind == _NPY:
        sorted_out = SortedOut()
        with sorted_out.sorting(stem):
            sorted_out.add(*npy_layer(path, place, stem))
        member.arrays = dict(zip([""], sorted_out.arrays, strict=False))
        member.refused = dict(zip([""], sorted_out.refused.values(), strict=False))
        member.unreadable = dict(zip([""], sorted_out.unreadable.values(), strict=False))
        return member
    try:
        opened = open_file(place)
    except DataError as error:
        member.unreadable = {"": str(error).removeprefix(f"{place}: ")}
        return member
    member.arrays = {layer.name: at_rest(layer) for layer in (*opened.layers, *opened.vectors)}
    member.refused, member.unreadable, member.notes = opened.refused, opened.unreadable, opened.notes
    return member


class _Folder:
    """What becomes of the files of a folder."""

    def __init__(self, path: str, how: str, is_npy: bool):
        self._path, self._how, self._is_npy = path, how, is_npy
        self._sorted_out = SortedOut()
        # Of runs that are alike: how many files, rows, what is said of them; the names of the layers; first and last.
        self._joined: dict[tuple[int, int, str], tuple[list[str], str]] = {}
        self._notes: list[str] = []

    def take_in(self, members: Sequence[Member], endings: Sequence[str]) -> None:
        """Sort out the members: joined where they are shards, else by themselves."""
        by_name = {member.name: member for member in members}
        named = [(member.name, member.n_rows) for member in members[: len(endings)]]
        runs = [run for run in shards.runs_of(named, self._how, endings) if self._is_run(run, by_name)]
        run_of = {each.name: run for run in runs for each in run.files}
        left = [member for member in members if member.name not in run_of]
        if self._how == shards.JOIN and not self._is_npy and len(left) > 1 and _are_alike(left):
            named_files = tuple(shards.Named(member.name, member.n_rows) for member in left)
            by_names = Run("", "", named_files, remark="in the order of their names")
            runs, run_of = [*runs, by_names], {**run_of, **{member.name: by_names for member in left}}
            left = []
        done: set[Run] = set()
        for member in members:
            if member.name not in run_of:
                self._take_alone(member)
            elif (run := run_of[member.name]) not in done:
                done.add(run)
                has_name = self._is_npy or len(runs) > 1 or left
                name = run.layer or (run.word or shards.name_of_folder(self._path)) * self._is_npy
                self._join(run, [by_name[each.name] for each in run.files], name if has_name else "")
        if self._how == shards.AUTO:
            self._note_undecided({member.name: member for member in left})

    def _is_run(self, run: Run, by_name: dict[str, Member]) -> bool:
        """Whether files whose names would do for layers as well are shards: alike, or then of as many rows each."""
        members = [by_name[each.name] for each in run.files]
        is_sure = self._how not in (shards.AUTO, shards.JOIN) or not run.may_be_layers
        if is_sure:
            return True
        if self._how == shards.AUTO and not any(member.kind for member in members):
            return False  # one axis: an example each, or a layer of its own
        return _are_alike(members) or len({member.n_rows for member in members}) > 1

    def _take_alone(self, member: Member) -> None:
        self._notes += member.notes
        for key, array in member.arrays.items():
            name = _full(member.name, key)
            alone = replace(array, file=self._path, name=name)
            self._sorted_out.arrays.append(alone)
        self._sorted_out.refused |= {_full(member.name, key): why for key, why in member.refused.items()}
        self._sorted_out.unreadable |= {_full(member.name, key): why for key, why in member.unreadable.items()}

    def _join(self, run: Run, members: Sequence[Member], name: str) -> None:
        """Join the arrays of a run one by one."""
        self._notes += [note for member in members for note in member.notes]
        keys = dict.fromkeys(key for each in members for key in (*each.arrays, *each.refused, *each.unreadable))
        for key in keys:
            full = _full(name, key) or run.word or shards.name_of_folder(self._path)
            if all(key in member.refused for member in members):
                self._sorted_out.refused[full] = members[0].refused[key]
            elif (why := self._why_not(run, members, key)) is not None:
                has_one_axis = all(len(each.arrays[key].shape) < 2 for each in members if key in each.arrays)
                is_asked_for = not has_one_axis or any(key in each.unreadable for each in members)
                (self._sorted_out.unreadable if is_asked_for else self._sorted_out.refused)[full] = why
            else:
                self._take_joined(run, full, [(each.name, each.arrays[key]) for each in members])

    def _why_not(self, run: Run, members: Sequence[Member], key: str) -> str | None:
        """Return why the arrays of a name cannot be joined, and what to do; None when they can."""
        for member in members:
            if key not in member.arrays:
                missing = f"is not in {member.name}, but in other shards; save that again, or give {_IF_LAYERS}"
                why = member.unreadable.get("", member.unreadable.get(key, member.refused.get(key)))
                return missing if why is None else f"its shard {member.name} {why}"
        if why := run.fault:
            return f"its shards cannot be joined: {why}; move one away, or give {_IF_LAYERS}"
        if why := why_not_joined([(member.name, member.arrays[key]) for member in members]):
            return f"its shards cannot be joined: {why}; save them alike, or give {_IF_LAYERS}"
        if run.trouble and self._how == shards.AUTO:
            how = f"--shards join to take them all the same, or {_IF_LAYERS}"
            return f"of its shards {run.trouble}; add what is missing, or give {how}"
        return None

    def _take_joined(self, run: Run, name: str, arrays: Sequence[tuple[str, Layer]]) -> None:
        layer = joined(self._path, name, arrays)
        self._sorted_out.arrays.append(layer)
        empty = [file for file, array in arrays if array.shape[0] == 0]
        said = "".join(
            f"; {each}" for each in (run.remark, run.trouble, f"without rows: {shown(empty)}" if empty else "") if each
        )
        files = arrays[0][0] if len(arrays) == 1 else f"{arrays[0][0]} to {arrays[-1][0]}"
        self._joined.setdefault((len(arrays), layer.shape[0], said), ([], files))[0].append(name)

    def _note_undecided(self, left: dict[str, Member]) -> None:
        """Say of files taken for layers that they may be rows of one."""
        runs = [run for run in shards.undecided(list(left)) if _are_alike([left[name] for name in run])]
        if runs:
            first, more = runs[0], f", and {counted(len(runs) - 1, 'more run')} so," if len(runs) > 1 else ""
            self._notes.append(
                f"{self._path}: {first[0]} to {first[-1]}{more} taken for layers; if they are rows of one, give "
                "--shards join"
            )

    def file(self, file_format: str, notes: tuple[str, ...]) -> ActivationFile:
        """Return all that was taken in. Raises DataError for a name that stands for two things."""
        for (n_files, n_rows, said), (names, files) in self._joined.items():
            alone = "" if self._how != shards.AUTO else f"; give {_IF_LAYERS}"
            self._notes.append(
                f"{self._path}: rows of {counted(n_files, 'file')} ({files}) joined as {shown(names)}, "
                f"{counted(n_rows, 'row')}{said}{alone}"
            )
        file = self._sorted_out.file(self._path, file_format, (*dict.fromkeys(self._notes), *notes))
        name, n_times = Counter(file.names).most_common(1)[0] if file.names else ("", 1)
        if n_times > 1:
            raise DataError(
                f"{self._path}::{name}: is the name of {n_times} things, one of them joined from shards or within a "
                "file; move the others away, or give --shards separate"
            )
        return file


def _full(name: str, key: str) -> str:
    return f"{name}/{key}" if name and key else name or key


def _are_alike(members: Sequence[Member]) -> bool:
    """Whether members may be rows of the same layers."""
    return bool(members[0].kind) and all(member.kind == members[0].kind for member in members)
