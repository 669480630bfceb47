"""What `cka` answers before a change and after it, side by side: for changes that ought to change no number.

python -m tests.reference take BEFORE                             with the package of the tree it is called from
python -m tests.reference take AFTER --tree DIR --python PATH     with that of another tree, by another interpreter
python -m tests.reference take BEFORE --data DIR                  on a folder of larger activations too
python -m tests.reference compare BEFORE AFTER

`take` runs every command of `commands.py` on `sample_data`, on a few small files that it makes and, with `--data`, on
those of a folder (`cifar_seed0.h5` and so on: activations too large to be kept here). Into a folder that must not exist
yet it writes the result of each command under the command's name, as CSV, JSON or text, and `ended.json`: of each
command its arguments, its exit status, what it said on standard error, and the size of the picture that it drew. It
takes about a minute on two cores, two with `--data`.

`compare` prints one line for each difference and ends with status 1 when there is one. Numbers may move by 1e-9,
relative, absolute below 1, in texts and tables too; every word, column, key, line, status and size must be the same.
Versions and dates in JSON are passed over. Take both on one machine: others round differently in single precision.
"""
