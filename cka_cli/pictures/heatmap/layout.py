"""Where everything stands, in inches from the lower left corner: words are measured first, cells get the rest."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor

from cka_cli.errors import UsageError
from cka_cli.pictures.heatmap.panels import Panel, Picture
from cka_cli.pictures.heatmap.scale import ColourScale
from cka_cli.pictures.heatmap.sizes import NAME_PT, good_side, longest_side, number_pt, side_for_names
from cka_cli.pictures.heatmap.style import MAX_PIXELS
from cka_cli.pictures.kit import Box
from cka_cli.pictures.words import height_in, spread, widest_in, wrap

FILE_PT, HEADING_PT, BAR_PT, TICK_PT, NOTE_PT, TITLE_PT = 8.0, 9.0, 8.0, 7.0, 7.0, 11.0
TICK_IN, TEXT_GAP_IN, FILE_GAP_IN, HEADING_GAP_IN = 0.035, 0.035, 0.06, 0.055
BAR_GAP_IN, BAR_IN = 0.1, 0.13
_BAR_ROOM_IN = BAR_GAP_IN + BAR_IN + TICK_IN + 2 * TEXT_GAP_IN  # across a bar, without the texts beside it
NOTE_MARK_IN, NOTE_GAP_IN = 0.14, 0.2
_THINNED_NAME_PT = 6.5  # where not all names can be shown, those that are can be read with ease
_LONG_NAME_PT = 6.0  # a long name is rather shortened than set smaller than this
_LEVEL_NAME_PT = 6.5  # column names that would have to be smaller to stand level are turned upright
_EDGE_IN, _PANEL_GAP_IN = 0.08, 0.16
_ACROSS, _UP = ("left", "box_width", "right"), ("top", "box_height", "bottom")  # what a place takes
_SMALLEST_PANEL_IN = 0.3  # 1 x 1 beside 200 x 200 is not drawn to scale
_SMALLEST_BOX_IN = 1.0  # a strip of 1 x 200 cells still has room for its colour bar and heading
FAN_IN = 0.12  # between a tick and its name where names stand further apart than cells
_LARGEST_IN, _LARGEST_WITH_NUMBERS_IN = 10.0, 16.0


@dataclass(frozen=True)
class Names:
    """How the names along one side stand.

    stride : every how many are shown.
    pitch_in : how far apart few names of many narrow cells are fanned out; 0 where each stands at its cell.
    """

    stride: int
    pitch_in: float = 0.0

    @property
    def depth_in(self) -> float:
        """The inches between the cells and the names, beside their own length."""
        return TICK_IN + TEXT_GAP_IN + (FAN_IN if self.pitch_in else 0.0)


@dataclass(frozen=True)
class Place:
    """One panel at one cell size: how its words are set, the inches they take on each side, and where it stands.

    name_pt, upright : size of the layer names, and whether column names are turned.
    row_names, column_names : how they stand along their side.
    name_room : the longest a name may be, in inches; longer ones are shortened.
    number_pt : size of the numbers in cells; 0 when they would be too small to read.
    box_width, box_height : what is kept for the cells: their size, or what the words around a thin strip need.
    """

    panel: Panel
    axes: Box
    box_width: float
    box_height: float
    name_pt: float
    row_names: Names
    column_names: Names
    upright: bool
    name_room: float
    number_pt: float
    heading: tuple[str, ...]
    bar_label: tuple[str, ...]
    left: float
    right: float
    top: float
    bottom: float

    @property
    def bar(self) -> Box:
        """Where the panel's own colour bar stands."""
        middle = self.axes.bottom + self.axes.height / 2
        return Box(self.axes.right + BAR_GAP_IN, middle - self.box_height / 2, BAR_IN, self.box_height)


@dataclass(frozen=True)
class Sheet:
    """A whole figure: its size in inches, its panels, the colour bar they share, and the lines above and below.

    content : what the words and cells take of the figure; the rest is empty when a larger size was asked for.
    """

    picture: Picture
    width: float
    height: float
    content: Box
    places: tuple[Place, ...]
    bar: Box
    bar_label: tuple[str, ...]
    title: tuple[str, ...]
    notes_left: float
    notes_in_one_line: bool
    bar_below: bool

    @property
    def has_numbers(self) -> bool:
        """Whether numbers stand in the cells of some panel."""
        return any(place.number_pt for place in self.places)


def arrange(picture: Picture) -> Sheet:
    """Return the sheet with the largest cells that fit; in a small given size words go, one kind after another.

    Raises UsageError when a given size has no room even for bare cells.
    """
    size, annotate = picture.style.size, picture.style.annotate
    if size is None:
        return _of_good_size(picture, annotate=annotate)
    choices = list(picture.ever_simpler())
    for choice in choices:
        sheet = _fitted(choice, size, annotate=annotate)
        for other, bar_below in choice.bar_elsewhere():
            roomier = _fitted(other, size, annotate=annotate, bar_below=bar_below)
            if roomier and (sheet is None or _cells_width(roomier) > 1.03 * _cells_width(sheet)):
                sheet = roomier
        if sheet and (choice is choices[-1] or _keeps_most(sheet, size)):
            return _centred(sheet, size)
    n_panels = len(picture.panels)
    raise UsageError(
        f"size: no room for {n_panels} panel{'s' if n_panels > 1 else ''} "
        f"({size[0]:g} x {size[1]:g} inches); give a larger size"
    )


def _of_good_size(picture: Picture, *, annotate: bool) -> Sheet:
    dpi = picture.style.dpi
    sheet = _fitted(picture, (_LARGEST_WITH_NUMBERS_IN,) * 2, annotate=True) if annotate else None
    if not (sheet and sheet.has_numbers):
        sheet = _fitted(picture, (_LARGEST_IN,) * 2, annotate=False)
    sheet = sheet or _sheet(picture, _SMALLEST_BOX_IN, annotate=False)
    if max(sheet.width, sheet.height) * dpi > MAX_PIXELS:
        raise UsageError(
            f"dpi: more than {MAX_PIXELS} pixels on a side ({sheet.width:.0f} x {sheet.height:.0f} inches at "
            f"{dpi} dpi); give a smaller --dpi, or draw less at a time"
        )
    return sheet


def _cells_width(sheet: Sheet) -> float:
    return sheet.places[0].axes.width


def _keeps_most(sheet: Sheet, size: tuple[float, float]) -> bool:
    """Whether cells take at least 40 % of the width or of the height; the rest is words."""
    n_columns = sheet.picture.n_columns
    return (
        sum(place.axes.width for place in sheet.places[:n_columns]) > 0.4 * size[0]
        or sum(place.axes.height for place in sheet.places[::n_columns]) > 0.4 * size[1]
    )


def _fitted(picture: Picture, limit: tuple[float, float], *, annotate: bool, bar_below: bool = False) -> Sheet | None:
    """Return the sheet with the largest panels, up to what looks good, within `limit`; None when there is none."""

    def fitting(side: float) -> Sheet | None:
        sheet = _sheet(picture, side, annotate=annotate, bar_below=bar_below)
        return sheet if sheet.width <= limit[0] and sheet.height <= limit[1] else None

    too_large: float = max(limit) if picture.style.size else good_side(picture, annotate=annotate)
    if not picture.style.size and (for_names := fitting(max(too_large, side_for_names(picture)))):
        return for_names
    if best := fitting(too_large):
        return best
    fits = 0.1
    for _ in range(12):
        middle = (too_large + fits) / 2
        if sheet := fitting(middle):
            best, fits = sheet, middle
        else:
            too_large = middle
    return best


def _sheet(picture: Picture, side: float, *, annotate: bool, bar_below: bool = False) -> Sheet:
    """Return the sheet of panels on one scale, the longest side of the largest `side` inches long."""
    dpi, n_columns = picture.style.dpi, picture.n_columns
    n_cells = longest_side(picture)
    places = [_place(panel, side, n_cells, dpi, annotate=annotate) for panel in picture.panels]
    columns = [places[index::n_columns] for index in range(n_columns)]
    rows = [places[start : start + n_columns] for start in range(0, len(places), n_columns)]
    grid_width = sum(_most(column, *_ACROSS) for column in columns) + _PANEL_GAP_IN * (len(columns) - 1)
    grid_height = sum(_most(row, *_UP) for row in rows) + _PANEL_GAP_IN * (len(rows) - 1)

    bar_height = grid_height - _most(rows[0], "top") - _most(rows[-1], "bottom")
    bar_left = _EDGE_IN + _most(columns[0], "left")
    bar_width = _EDGE_IN + grid_width - _most(columns[-1], "right") - bar_left
    bar_label = _bar_lines(picture.bar_label, bar_width if bar_below else bar_height) if picture.has_bar else ()
    bar_room = _bar_room(picture.panels[0], bar_height, bar_label) if picture.has_bar and not bar_below else 0.0
    room_below = _BAR_ROOM_IN + height_in(1, TICK_PT) + height_in(len(bar_label), BAR_PT)
    room_below = room_below if picture.has_bar and bar_below else 0.0
    width = _whole_pixels(2 * _EDGE_IN + grid_width + bar_room, dpi)

    title = tuple(wrap(picture.title, width - 2 * _EDGE_IN, TITLE_PT, 2)) if picture.title else ()
    title_room = height_in(len(title), TITLE_PT) + 2 * TEXT_GAP_IN if title else 0.0
    notes_left, n_note_lines = _notes(picture, _most(columns[0], "left"), width)
    notes_room = height_in(n_note_lines, NOTE_PT) + 2 * TEXT_GAP_IN if n_note_lines else 0.0
    height = _whole_pixels(2 * _EDGE_IN + title_room + grid_height + room_below + notes_room, dpi)

    grid_top = height - _EDGE_IN - title_room
    placed = _placed(rows, columns, grid_top, dpi)
    bottom = grid_top - grid_height + _most(rows[-1], "bottom")
    bar = Box(_EDGE_IN + grid_width + BAR_GAP_IN, bottom, BAR_IN, bar_height)
    if bar_below:
        bar = Box(bar_left, grid_top - grid_height - BAR_GAP_IN - BAR_IN, bar_width, BAR_IN)
        if len(placed) == 1 and placed[0].axes.width == placed[0].box_width:
            bar = bar._replace(left=placed[0].axes.left, width=placed[0].axes.width)
    elif len(placed) == 1:  # the very pixels of the axes, rather than the same inches rounded another way
        bar = placed[0].bar
    content = Box(_EDGE_IN, _EDGE_IN, width - 2 * _EDGE_IN, height - 2 * _EDGE_IN)
    return Sheet(
        picture, width, height, content, placed, bar, bar_label, title, notes_left, n_note_lines <= 1, bar_below
    )


def _place(panel: Panel, largest_side: float, n_cells: int, dpi: int, *, annotate: bool) -> Place:
    """Return one panel measured at a cell size of whole pixels, its lower left corner still at 0, 0.

    largest_side, n_cells : the longest side of the largest panel, in inches and in cells.
    """
    n_rows, n_columns = panel.matrix.values.shape
    cell = largest_side / n_cells
    if not panel.is_bare:
        cell = max(cell, min(_SMALLEST_PANEL_IN, largest_side) / max(n_rows, n_columns))
    side = cell * max(n_rows, n_columns)
    cell = floor(cell * dpi) / dpi if cell * dpi >= 1 else cell
    axes = Box(0, 0, cell * n_columns, cell * n_rows)
    smallest_box = 0.0 if panel.is_bare else _SMALLEST_BOX_IN
    box_width, box_height = max(axes.width, smallest_box), max(axes.height, smallest_box)

    stride = 1 if cell >= height_in(1, NAME_PT[0]) else ceil(height_in(1, _THINNED_NAME_PT) / cell)
    name_room = min(max(0.4 * side, 0.8), 2.2)
    longest = widest_in(panel.row_names + panel.column_names, 1)
    name_pt = min(NAME_PT[1], stride * cell / height_in(1, 1))
    name_pt = max(min(name_pt, _LONG_NAME_PT), min(name_pt, name_room / max(longest, 1e-3)))
    row_names, row_pt = _names(n_rows if panel.row_names else 0, stride, name_pt, box_height)
    column_names, column_pt = _names(n_columns if panel.column_names else 0, stride, name_pt, box_width)
    name_pt = min(row_pt, column_pt)
    shown = [panel.column_names[index] for index in spread(n_columns, stride)] if panel.column_names else []
    level_pt = min(name_pt, stride * cell / (widest_in(shown, 1) + 0.6 * height_in(1, 1)))
    upright = level_pt < min(name_pt, _LEVEL_NAME_PT) or row_names.pitch_in > 0 or column_names.pitch_in > 0
    name_pt = name_pt if upright else level_pt

    shown = list(panel.column_names) if column_names.pitch_in else shown
    left = min(widest_in(panel.row_names, name_pt), name_room) + row_names.depth_in if panel.row_names else 0.0
    names_height = min(widest_in(shown, name_pt), name_room) if upright else height_in(1, name_pt)
    file_room = height_in(1, FILE_PT) + FILE_GAP_IN
    bottom = (names_height + column_names.depth_in if shown else 0.0) + (file_room if panel.column_file else 0.0)
    heading = tuple(line for words in panel.heading for line in wrap(words, box_width, HEADING_PT, 4))
    bar_label = _bar_lines(panel.bar_label, box_height) if panel.has_bar else ()
    return Place(
        panel, axes, box_width, box_height, name_pt, row_names, column_names, upright, name_room,
        number_pt(panel, cell) if annotate else 0.0, heading, bar_label,
        left=left + (file_room if panel.row_file else 0.0),
        right=_bar_room(panel, box_height, bar_label) if panel.has_bar else 0.0,
        top=height_in(len(heading), HEADING_PT) + HEADING_GAP_IN if heading else 0.0,
        bottom=max(0.0, bottom - (box_height - axes.height) / 2),
    )  # fmt: skip


def _names(n: int, stride: int, name_pt: float, room: float) -> tuple[Names, float]:
    """Return how `n` names stand and their size: few beside narrow cells are fanned out rather than left out."""
    fitting: float = min(name_pt, room / max(n, 1) / height_in(1, 1))
    if stride > 1 and n > 1 and fitting >= NAME_PT[0]:
        return Names(1, height_in(1, fitting)), fitting
    return Names(stride), name_pt


def _placed(rows: list[list[Place]], columns: list[list[Place]], grid_top: float, dpi: int) -> tuple[Place, ...]:
    """Return the places with the corners of their axes on whole pixels."""
    placed = []
    top = grid_top
    for row in rows:
        box_height = _most(row, "box_height")
        row_box_bottom = top - _most(row, "top") - box_height
        left = _EDGE_IN
        for place, column in zip(row, columns, strict=False):
            left += _most(column, "left")
            box_width = _most(column, "box_width")
            x = left + (box_width - place.axes.width) / 2
            y = row_box_bottom + (box_height - place.axes.height) / 2
            corner = Box(round(x * dpi) / dpi, round(y * dpi) / dpi, place.axes.width, place.axes.height)
            placed.append(replace(place, axes=corner))
            left += box_width + _most(column, "right") + _PANEL_GAP_IN
        top -= _most(row, *_UP) + _PANEL_GAP_IN
    return tuple(placed)


def _most(places: Sequence[Place], *sides: str) -> float:
    """Return the most that some places take on a side; of several sides, these added up."""
    total: float = sum(max(getattr(place, side) for place in places) for side in sides)
    return total


def bar_ticks(scale: ColourScale, length: float, *, lies: bool) -> tuple[list[float], list[str]]:
    """Return the ticks that suit a colour bar of this length in inches; on one that lies, texts need more room."""
    n_intervals = 5 if length >= (3.3 if lies else 1.5) else 2
    return scale.ticks(n_intervals, 0.7 if lies else 0.4 if n_intervals > 2 else 0.6)


def _bar_room(panel: Panel, height: float, label: tuple[str, ...]) -> float:
    _, ticks = bar_ticks(panel.scale, height, lies=False)
    label_room = height_in(len(label), BAR_PT) + TEXT_GAP_IN if label else 0.0
    return _BAR_ROOM_IN + widest_in(ticks, TICK_PT) + label_room


def _bar_lines(label: str, height: float) -> tuple[str, ...]:
    return tuple(wrap(label, height, BAR_PT, 3)) if label else ()


def _notes(picture: Picture, left: float, width: float) -> tuple[float, int]:
    """Return where the notes start and how many lines they take: under the axes, or further left when they are long."""
    widths = [NOTE_MARK_IN + widest_in([note], NOTE_PT) for note in picture.notes]
    if not widths:
        return left, 0
    in_one_line = sum(widths) + NOTE_GAP_IN * (len(widths) - 1)
    room = width - 2 * _EDGE_IN
    n_lines = 1 if in_one_line <= room else len(widths)
    longest = in_one_line if n_lines == 1 else max(widths)
    return _EDGE_IN + max(0.0, min(left, room - longest)), n_lines


def _whole_pixels(length: float, dpi: int) -> float:
    return ceil(length * dpi - 1e-6) / dpi


def _centred(sheet: Sheet, size: tuple[float, float]) -> Sheet:
    """Return the sheet in a figure of a given size, with the room that is over on all sides."""
    dpi = sheet.picture.style.dpi
    right, up = (
        round((given - used) / 2 * dpi) / dpi for given, used in zip(size, (sheet.width, sheet.height), strict=True)
    )

    def moved(box: Box) -> Box:
        return box._replace(left=box.left + right, bottom=box.bottom + up)

    places = tuple(replace(place, axes=moved(place.axes)) for place in sheet.places)
    return replace(
        sheet, width=size[0], height=size[1], content=moved(sheet.content), places=places, bar=moved(sheet.bar),
        notes_left=sheet.notes_left + right,
    )  # fmt: skip
