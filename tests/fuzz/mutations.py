"""Ways to spoil a file: chance, and a hand that knows the format. The same random state gives the same bytes."""

import io
import json
import re
import struct
import zipfile

BOUNDARIES = (
    0, 1, 2, 3, 7, 8, 16, 23, 24, 25, 127, 128, 255, 256, 1000, 32767, 32768, 65535, 65536,
    2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1,
)  # fmt: skip
_HDF5_SIGNATURES = re.compile(
    rb"\x89HDF|OHDR|OCHK|TREE|HEAP|SNOD|FRHP|FHDB|FHIB|BTHD|BTLF|BTIN|GCOL|FAHD|FADB|EAHD|EAIB"
)
_HEADER_WORDS = (
    "(24,)", "(24, 6)", "(6, 24)", "(24, 0)", "(0, 6)", "()", "(-1, 6)", "(24, -6)", "(9223372036854775807, 1)",
    "(4611686018427387904, 4)", "(18446744073709551616, 1)", "(24, 4294967296)", "(1000000000000, 0)", "(True, 6)",
    "(24, 2, 2, 2)", "(" + "1, " * 70 + ")", "(" * 90 + ")" * 90, "(24L, 6L)", "[24, 6]", "None", "1e9", "{}",
)  # fmt: skip
_DTYPES = (
    "<f4", "<f8", ">f4", "<f2", "<f16", "|b1", "|i1", "<u8", "<i8", "<c8", "|O", "|S0", "|S4", "<U0", "<U3", "|V0",
    "|V2", "<M8[s]", "<m8[ns]", "(3,)<f4", "f4,f4", "<f3", "a", "x", "", "<f4\\x00", "|V2147483647", "<U500000000",
)  # fmt: skip
_JSON_WORDS = (
    "", "null", "true", "[]", "{}", "-1", "-0", "24.0", "1e2", "NaN", "9" * 5000, "[" * 5000, '{"a":' * 3000, '"conv1"',
    '"__metadata__"', '"F8_E5M2"', '"F4"', '"F64"', '"BF16"', '"BOOL"', '"\\ud800"', '"\\u0000"', "[24,7]", "[0,4]",
    "[1]", "[]", "[" + "1," * 70 + "1]", "[0,9223372036854775807]", "[4611686018427387904,4]", '"\u202e"', '""',
)  # fmt: skip
_NUMBERS = (
    "1e999", "-1e999", "1e308", "-1e308", "1e-320", "nan", "inf", "-inf", "NaN", "Infinity", "", " ", "0x10", "1_0",
    "1,5", "--1", "９", "null", "true", "9" * 400, "1" * 5000, "0." + "0" * 2000 + "1",
    "1e5000000", "[]", "{}", '"', "'", "\x00", "\x1b[2J",
)  # fmt: skip


def mutated(name, data, others, random):
    """Return the bytes of a spoilt file: one to four mutations, chosen by the kind of the file.

    others : sound files that pieces may be taken from.
    """
    special = {
        "h5": _HDF5, "npy": _NPY, "npz": _ZIP, "safetensors": _SAFETENSORS, "csv": _TEXT, "json": _TEXT, "bin": _RAW,
        "mat": _GENERIC, "zarrzip": _ZARR, "pt": _TORCH,
    }.get(name.rpartition(".")[2], _NUMBERED)  # fmt: skip
    for _ in range(1 + min(3, int(random.expovariate(1.2)))):
        choose = special if random.random() < 0.6 else _GENERIC
        data = random.choice(choose)(data, others, random)
    if name.endswith("h5") and random.random() < 0.7:
        data = with_checksums(data)
    return data


def _place(data, random):
    """Return an offset, more often near the start, where headers are."""
    reach = len(data) if random.random() < 0.5 else min(len(data), random.choice((64, 512, 2048)))
    return random.randrange(max(1, reach))


def _overwrite(data, place, new):
    return data[:place] + new + data[place + len(new) :]


def flip_bits(data, others, random):
    spoilt = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 8, 64))):
        if spoilt:
            spoilt[_place(data, random)] ^= 1 << random.randrange(8)
    return bytes(spoilt)


def set_bytes(data, others, random):
    return _overwrite(data, _place(data, random), random.randbytes(random.choice((1, 2, 4, 16))))


def set_number(data, others, random):
    size = random.choice((1, 2, 4, 8))
    number = random.choice(BOUNDARIES) % (1 << 8 * size)
    place = _place(data, random)
    place -= place % random.choice((1, size))
    return _overwrite(data, place, number.to_bytes(size, random.choice(("little", "little", "big"))))


def add_to_number(data, others, random):
    size = random.choice((1, 2, 4, 8))
    place = _place(data, random)
    number = int.from_bytes(data[place : place + size], "little")
    number = (number + random.choice((-256, -8, -2, -1, 1, 2, 8, 24, 256, 4096))) % (1 << 8 * size)
    return _overwrite(data, place, number.to_bytes(size, "little")[: len(data) - place])


def cut_off(data, others, random):
    return data[: random.randrange(len(data) + 1)]


def lengthen(data, others, random):
    return data + random.choice((b"\0", b"\xff", b"junk")) * random.choice((1, 7, 512, 4096))


def cut_out(data, others, random):
    place = _place(data, random)
    return data[:place] + data[place + random.choice((1, 2, 8, 64, 500)) :]


def blank(data, others, random):
    n_bytes = random.choice((1, 4, 16, 128, 1024))
    place = _place(data, random)
    return _overwrite(data, place, random.choice((b"\0", b"\xff")) * min(n_bytes, len(data) - place))


def copy_within(data, others, random):
    source, place, n_bytes = _place(data, random), _place(data, random), random.choice((2, 8, 24, 96, 512))
    piece = data[source : source + n_bytes]
    return _overwrite(data, place, piece) if random.random() < 0.7 else data[:place] + piece + data[place:]


def splice(data, others, random):
    other = random.choice(others)
    place = _place(data, random)
    if random.random() < 0.3:
        return data[:place] + other[place:]
    source = _place(other, random)
    return _overwrite(data, place, other[source : source + random.choice((8, 64, 512))])


_GENERIC = (flip_bits, set_bytes, set_number, add_to_number, cut_off, lengthen, cut_out, blank, copy_within, splice)


# Of formats whose descriptions are numbers through and through: Arrow's and Parquet's.
_NUMBERED = (set_number, add_to_number, flip_bits, copy_within)


def edit_hdf5_structure(data, others, random):
    """Change a number within the first bytes of a superblock, object header, tree, heap or index."""
    found = [match.start() for match in _HDF5_SIGNATURES.finditer(data)]
    # Version 1 object headers have no signature: version 1, a zero, a small count of messages, a reference count of 1.
    found += [match.start() for match in re.finditer(rb"\x01\x00[\x01-\x14]\x00\x01\x00\x00\x00", data)]
    if not found:
        return set_number(data, others, random)
    place = random.choice(found) + random.randrange(random.choice((24, 96, 300)))
    size = random.choice((1, 1, 2, 4, 8))
    if random.random() < 0.5:
        number = random.choice(BOUNDARIES)
    elif random.random() < 0.5:
        number = random.choice(found) + random.choice((0, 0, 8, -8))  # an address: of another structure, or beside it
        size = 8
    else:
        number = int.from_bytes(data[place : place + size], "little") + random.choice((-1, 1, 8, -8, 128))
    return _overwrite(data, place, (number % (1 << 8 * size)).to_bytes(size, "little"))[: max(len(data), place + size)]


def edit_hdf5_word(data, others, random):
    """Exchange a number that means something, an address or a length, for another one in the file."""
    words = [
        place
        for place in range(0, len(data) - 8, 8)
        if 0 < int.from_bytes(data[place : place + 8], "little") < len(data)
    ]
    if len(words) < 2:
        return set_number(data, others, random)
    place, source = random.choice(words), random.choice(words)
    return _overwrite(data, place, data[source : source + 8])


_HDF5 = (edit_hdf5_structure, edit_hdf5_structure, edit_hdf5_word, set_number)


def with_checksums(data):
    """Return HDF5 data with the checksums of its superblock and object headers made right again."""
    spoilt = bytearray(data)
    start = data.find(b"\x89HDF\r\n\x1a\n")
    if start >= 0 and data[start + 8 : start + 9] in (b"\x02", b"\x03") and len(data) >= start + 48:
        spoilt[start + 44 : start + 48] = struct.pack("<I", lookup3(bytes(spoilt[start : start + 44])))
    for match in re.finditer(b"OHDR", data):
        begin = match.start()
        end = _end_of_header(data, begin)
        if end is not None:
            spoilt[end : end + 4] = struct.pack("<I", lookup3(bytes(spoilt[begin:end])))
    fixed = {b"BTHD": 34, b"FAHD": 24, b"EAHD": 68, b"FRHP": 142}
    for match in re.finditer(b"BTHD|FAHD|EAHD|FRHP", data):
        begin, n_bytes = match.start(), fixed[match[0]]
        if begin + n_bytes + 4 <= len(data):
            sum_of = struct.pack("<I", lookup3(bytes(spoilt[begin : begin + n_bytes])))
            spoilt[begin + n_bytes : begin + n_bytes + 4] = sum_of
    return bytes(spoilt)


def _end_of_header(data, begin):
    """Return where the checksum of a version 2 object header stands, or None."""
    if begin + 8 > len(data):
        return None
    flags = data[begin + 5]
    place = begin + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    size = 1 << (flags & 3)
    end = place + size + int.from_bytes(data[place : place + size], "little")
    return end if end + 4 <= len(data) and end - begin < 1 << 14 else None


def lookup3(data):
    """Return the checksum of HDF5 metadata: Bob Jenkins' lookup3 (2006), hashlittle with an initial value of 0."""
    mask = 0xFFFFFFFF

    def rotated(word, n_bits):
        return ((word << n_bits) | (word >> (32 - n_bits))) & mask

    a = b = c = (0xDEADBEEF + len(data)) & mask
    place = 0
    while len(data) - place > 12:
        a, b, c = (
            (word + more) & mask for word, more in zip((a, b, c), struct.unpack_from("<III", data, place), strict=True)
        )
        a = ((a - c) & mask) ^ rotated(c, 4)
        c = (c + b) & mask
        b = ((b - a) & mask) ^ rotated(a, 6)
        a = (a + c) & mask
        c = ((c - b) & mask) ^ rotated(b, 8)
        b = (b + a) & mask
        a = ((a - c) & mask) ^ rotated(c, 16)
        c = (c + b) & mask
        b = ((b - a) & mask) ^ rotated(a, 19)
        a = (a + c) & mask
        c = ((c - b) & mask) ^ rotated(b, 4)
        b = (b + a) & mask
        place += 12
    if place == len(data):
        return c
    last = struct.unpack("<III", data[place:].ljust(12, b"\0"))
    a, b, c = ((word + more) & mask for word, more in zip((a, b, c), last, strict=True))
    for n_bits, (first, second) in zip(
        (14, 11, 25, 16, 4, 14, 24), ("cb", "ac", "ba", "cb", "ac", "ba", "cb"), strict=True
    ):
        words = {"a": a, "b": b, "c": c}
        words[first] = ((words[first] ^ words[second]) - rotated(words[second], n_bits)) & mask
        a, b, c = words["a"], words["b"], words["c"]
    return c


def edit_npy_header(data, others, random):
    """Write another header before the values, of the length it should have or of another."""
    shape = random.choice(_HEADER_WORDS) if random.random() < 0.7 else "(24, 6)"
    dtype = random.choice(_DTYPES) if random.random() < 0.7 else "<f4"
    order = random.choice(("True", "False", "False", "1", "None"))
    text = f"{{'descr': '{dtype}', 'fortran_order': {order}, 'shape': {shape}, }}"
    if random.random() < 0.1:
        text = text.replace("'descr'", random.choice(("'desc'", "b'descr'", "'descr': 1, 'x'")))
    if random.random() < 0.1:
        text = random.choice(("__import__('os').system('true')", "{" * 5000, "0" * 12000, "", "\0", "'\\ud800'"))
    version = random.choice((1, 1, 1, 2, 3, 0, 255))
    encoded = text.encode() + b" " * random.choice((0, 7, 64)) + b"\n"
    length = len(encoded) if random.random() < 0.8 else random.choice(BOUNDARIES) % 65536
    size = struct.pack("<H", length) if version == 1 else struct.pack("<I", length)
    return b"\x93NUMPY" + bytes((version, 0)) + size + encoded + data[128:]


_NPY = (edit_npy_header, set_number, flip_bits)


def edit_zip_field(data, others, random):
    """Change a field of a local header, of the directory, or of its end."""
    kinds = {  # signature -> (offset, size) of each field
        b"PK\x03\x04": ((4, 2), (6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2), (30, 4)),
        b"PK\x01\x02": (
            (6, 2),
            (8, 2),
            (10, 2),
            (16, 4),
            (20, 4),
            (24, 4),
            (28, 2),
            (30, 2),
            (32, 2),
            (42, 4),
            (46, 4),
        ),
        b"PK\x05\x06": ((4, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)),
    }
    signature = random.choice(list(kinds))
    found = [match.start() for match in re.finditer(re.escape(signature), data)]
    if not found:
        return set_number(data, others, random)
    offset, size = random.choice(kinds[signature])
    place = random.choice(found) + offset
    if random.random() < 0.5:
        number = random.choice(BOUNDARIES)
    else:
        number = int.from_bytes(data[place : place + size], "little") + random.choice((-100, -8, -1, 1, 8, 100, 10**6))
    return _overwrite(data, place, (number % (1 << 8 * size)).to_bytes(size, "little"))


def edit_zip_name(data, others, random):
    """Give a member another name of the same length, everywhere."""
    names = sorted(set(re.findall(rb"[a-z0-9]+\.npy", data)))
    if not names:
        return flip_bits(data, others, random)
    old = random.choice(names)
    new = random.choice(
        (random.choice(names), b"../../../../x.npy", b"/etc/x.npy", b"a\0b.npy", b"\x1b[2J.npy", b"\xff\xfe.npy")
    )
    return data.replace(old, new[: len(old)].ljust(len(old), b"y") if len(new) != len(old) else new)


def edit_zip_values(data, others, random):
    """Change the NPY headers of stored members, sizes kept."""
    old, new = random.choice(
        (
            (b"(24, ", b"(99, "),
            (b"<f4", b"|O8"),
            (b"<f4", b"<f8"),
            (b"False", b"True "),
            (b", 3, 3)", b",-3, 3)"),
            (b"<f8", b"<U9"),
        )
    )
    return data.replace(old, new)


_ZIP = (edit_zip_field, edit_zip_field, edit_zip_name, edit_zip_values)


def edit_safetensors_header(data, others, random):
    """Exchange words of the header for others, of the length it should have or of another."""
    end = 8 + int.from_bytes(data[:8], "little")
    if not 8 < end <= len(data):
        return set_number(data, others, random)
    header = data[8:end]
    for _ in range(random.choice((1, 1, 2, 5))):
        found = list(re.finditer(rb'-?[0-9]+|"[^"]*"|\[[0-9,]*\]|\{[^{}]*\}', header))
        if found:
            match, other = random.choice(found), random.choice(found)[0]
            new = random.choice(
                (other, other, random.choice(_JSON_WORDS).encode(), str(random.choice(BOUNDARIES)).encode())
            )
            header = header[: match.start()] + new + header[match.end() :]
    length = len(header) if random.random() < 0.8 else random.choice(BOUNDARIES) % (1 << 64)
    return length.to_bytes(8, "little") + header + data[end:]


_SAFETENSORS = (edit_safetensors_header, edit_safetensors_header, set_number)


def edit_description(data, others, random):
    """Change the pickle of an archive of torch: an opcode, a number, a name or a place."""
    begin, end = data.find(b"\x80"), data.find(b"PK\x07\x08")
    end = data.find(b"PK", max(begin, 30)) if end < 0 else end
    if begin < 0 or end <= begin:
        return flip_bits(data, others, random)
    spoilt = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4))):
        place = random.randrange(begin, end)
        if random.random() < 0.5:
            spoilt[place] = random.choice(
                b"(.0123NRbcdehijloqrstu])}aQXKMJG\x80\x81\x82\x85\x86\x87\x88\x8a\x8c\x93\x94\x95"
            )
        else:
            size = random.choice((1, 1, 2, 4))
            spoilt[place : place + size] = (random.choice(BOUNDARIES) % (1 << 8 * size)).to_bytes(size, "little")
    return bytes(spoilt[: len(data)])


def edit_names_of_torch(data, others, random):
    """Give a name in the pickle another, of the same length, or an opcode other numbers."""
    old, new = random.choice(
        (
            (b"FloatStorage", b"Int32Storage"),
            (b"FloatStorage", b"DoubleStorag"),
            (b"_rebuild_tensor_v2", b"_rebuild_qtensor__"),
            (b"OrderedDict", b"defaultdict"),
            (b"BFloat16Storage", b"ComplexFStorage"),
            (b"storage", b"garbage"),
            (b"K\x18", b"K\xff"),
            (b"K\x18K\x07", b"K\x07K\x18"),
            (b"K\x06K\x03", b"K\x03K\x06"),
            (b"K\x06K\x03", b"K\x00K\x00"),
            (b"little", b"middle"),
            (b"uint16", b"int128"),
        )
    )
    return data.replace(old, new)


_TORCH = (edit_description, edit_description, edit_names_of_torch, edit_zip_field)


def exchange_number(data, others, random):
    found = list(re.finditer(rb"-?[0-9]+(\.[0-9]+)?", data))
    if not found:
        return data
    match = random.choice(found)
    return data[: match.start()] + random.choice(_NUMBERS).encode("utf-8") + data[match.end() :]


def exchange_lines(data, others, random):
    lines = data.split(b"\n")
    place, other = random.randrange(len(lines)), random.randrange(len(lines))
    if random.random() < 0.5:
        lines.insert(place, lines[other])
    else:
        del lines[place]
    return b"\n".join(lines)


def insert_text(data, others, random):
    pieces = (
        '"', "\0", "\ufeff", "\r", "\n\n", ",,", ",", "\t", "[" * 500, '{"a":' * 500, "\x1b[31m", "\u202e",
        "𝔘", "$x^{2}$", "\\frac{1",
        '"' + "x" * 200000, ",1" * 3000, "nan", "\x85", "\u2028", "x" * 5000,
    )  # fmt: skip
    place = _place(data, random)
    return data[:place] + random.choice(pieces).encode("utf-8") + data[place:]


def encode_otherwise(data, others, random):
    text = data.decode("utf-8", "replace")
    return text.encode(random.choice(("utf-16", "utf-32-le", "utf-16-be", "latin-1", "cp037")), "replace")


def repeat_cells(data, others, random):
    """Lengthen every line, or repeat all lines with other names: a larger matrix, sound or not."""
    lines = data.split(b"\n")
    if random.random() < 0.5:
        return b"\n".join(line + b",0.5" * random.choice((1, 300)) for line in lines if line)
    body = [line for line in lines[1:] if line]
    return b"\n".join(
        lines[:1] + [str(n).encode() * (n > 0) + line for n in range(random.choice((2, 40))) for line in body]
    )


def edit_sidecar(data, others, random):
    """Change a word of the sidecar that stands before raw values, or what stands before a colon."""
    end = data.find(b"\0")
    found = list(re.finditer(rb"\[[^\[\]]*\]|\"[^\"]*\"|-?[0-9]+|true|false", data[:end] if end > 0 else data))
    if not found:
        return data
    match = random.choice(found)
    words = [json.dumps(word) for word in _DTYPES] + [
        word.replace("(", "[").replace(")", "]") for word in _HEADER_WORDS
    ]
    words += ['"shape"', '"dims"', '"n"', '"d"', '"dtype"', '"order"', '"offset"', '"file"', '"bfloat16"', *_NUMBERS]
    new = random.choice(words).encode("utf-8", "surrogatepass").replace(b"\0", b"")
    return data[: match.start()] + new + data[match.end() :]


_TEXT = (exchange_number, exchange_number, exchange_lines, insert_text, encode_otherwise, repeat_cells)
_RAW = (edit_sidecar, edit_sidecar, edit_sidecar, exchange_number, insert_text, flip_bits)


def edit_zarr_member(data, others, random):
    """Spoil one member, most often metadata, of an archive whose sums are right again after that."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        name = random.choice([each for each in members if ".z" in each or random.random() < 0.5] or list(members))
    except Exception:  # spoilt already
        return flip_bits(data, others, random)
    is_text = ".z" in name or name.endswith(".json")
    if is_text and random.random() < 0.4:
        words = re.findall(rb'"[a-z_0-9<]+"', b" ".join(members.values()))
        old, new = (
            random.choice(words),
            random.choice([*words, b'"pickle"', b'"|O"', b'"json2"', b'"vlen-utf8"', b'"<f8"']),
        )
        members[name] = members[name].replace(old, new)
    else:
        members[name] = random.choice((exchange_number, exchange_number, insert_text) if is_text else _GENERIC)(
            members[name], others, random
        )
    if random.random() < 0.1:
        del members[random.choice(list(members))]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for each, content in members.items():
            archive.writestr(zipfile.ZipInfo(each), content)
    return stream.getvalue()


_ZARR = (edit_zarr_member,) * 9 + (edit_zip_field,)
