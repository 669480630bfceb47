"""Filters of HDF5 that come in packages of their own: what to do where one is missing.

Numbers: https://github.com/HDFGroup/hdf5_plugins/blob/master/docs/RegisteredFilterPlugins.md
"""

_IN_HDF5PLUGIN = {
    307: "bzip2", 32001: "blosc", 32004: "lz4", 32008: "bitshuffle", 32013: "zfp", 32015: "zstd", 32017: "sz",
    32018: "fcidecomp", 32024: "sz3", 32026: "blosc2", 32028: "sperr", 32033: "htj2k",
}  # fmt: skip
_ELSEWHERE = {4: "szip", 305: "lzo", 32000: "lzf", 32003: "snappy", 32005: "jpeg", 32009: "fpzip", 32022: "mafisc"}


def missing_filter(code: int, name: str) -> str:
    """Return why values that went through a filter cannot be read, and what to do.

    name : as the file has it, which may be empty.
    """
    known = _IN_HDF5PLUGIN.get(code) or name or _ELSEWHERE.get(code) or "a filter"
    what = f"compressed with {known} ({code}), which this HDF5 library cannot undo"
    if code not in _IN_HDF5PLUGIN:
        return f"{what}; save it with gzip"
    return (
        f"{what}; pip install hdf5plugin, and set HDF5_PLUGIN_PATH to what "
        '`python -c "import hdf5plugin; print(hdf5plugin.PLUGIN_PATH)"` prints, or save it with gzip'
    )
