"""The cgroups screen: the tree with its numbers and limits, and graphs of the one under the cursor."""

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from inspector.domains.cgroups.model import Cgroup
from screens import filters
from screens.base import SubjectScreen
from screens.cgroups.figures import figures
from screens.cgroups.together import TOGETHER, members, together
from screens.cgroups.together import plots as together_plots
from screens.cgroups.tree import branch_columns, branches, folded_at_first, parent, table_columns
from screens.container.plots import cgroup_plots, container_plots
from screens.container.screen import ContainerScreen
from screens.container.summary import verdict_lines
from screens.moment import Moment
from screens.short import ids
from screens.verdict import judge_cgroup
from screens.widgets import cells, graph
from screens.widgets.cells import Line
from screens.widgets.frame_table import FrameTable
from screens.widgets.lines import Lines
from screens.widgets.trees import Branch


class CgroupsScreen(SubjectScreen):
    """One tree; of the several hierarchies of v1 and hybrid hosts, together or each by itself."""

    NAME = "cgroups"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "fold", "fold, or go to the one above", show=False),
        Binding("right", "unfold", "unfold", show=False),
        Binding(
            "m", "together", "the hierarchies of v1 as one tree, or each by itself", show=False
        ),
        Binding("i", "figures", "figures instead of graphs: kills, devices, nodes", show=False),
        Binding("z", "zoom", "a larger pane below, or a smaller one", show=False),
    ]
    PANES = ("tree", "graphs")
    HINTS: ClassVar[Sequence[tuple[str, str]]] = (
        ("← →", "fold"),
        ("i", "figures"),
        ("z", "larger pane"),
    )
    NOTES: ClassVar[Sequence[tuple[str, str]]] = (
        ("memory", "current - inactive file pages, as docker stats and Kubernetes count it"),
        ("throttled", "periods in which the quota was used up, of all periods"),
        ("OOM kills", "here, in cgroups below, and in ones that were removed since"),
        ("removed", "a removed cgroup is kept as long as memory or a page is charged to it"),
    )

    def __init__(self, *, may_act: bool) -> None:
        super().__init__(may_act=may_act)
        self._folded: set[str] | None = None
        self._filter: filters.Filter[Branch[Cgroup]] | None = None
        self._columns = branch_columns(lambda: self.shell.moment)
        self._together = False
        self._figures = False

    def body(self) -> ComposeResult:
        """The tree, and the graphs below it."""
        yield FrameTable(
            table_columns(lambda: self.shell.moment),
            lambda branch: branch.key,
            empty="no cgroup, or the filter fits none",
            id="tree",
        )
        yield Lines(id="graphs", classes="pane graphs")

    @property
    def table(self) -> FrameTable[Branch[Cgroup]]:
        """The tree, as a table."""
        return self.query_one("#tree", FrameTable)

    def show(self, moment: Moment) -> None:
        """Show the tree; what a filter accepts stays with all that is above it."""
        if self._folded is None:
            self._folded = folded_at_first(moment.cgroups)
            # Nine trees of v1 bury what a person looks for: what one container uses.
            self._together = len({one.hierarchy for one in moment.cgroups}) > 1
        groups = together(moment.cgroups) if self._together else moment.cgroups
        rows = branches(groups, () if self._filter else self._folded)
        if self._filter is not None:
            rows = _kept(rows, self._filter)
        self.table.show(rows)
        self._show_graphs()

    def aim(self, container: str) -> None:
        """Put the cursor on a container's cgroup, in the hierarchy that says the most."""
        moment = self.shell.moment
        if moment is None:
            return
        own = [one for one in moment.cgroups if one.container == container]
        own = own or self._by_path(container, moment)
        if not own:
            return
        best = max(
            own, key=lambda one: (one.memory is not None, one.cpu is not None, -len(one.path))
        )
        above = parent(best)
        while above is not None:
            self._folded = (self._folded or set()) - {above}
            hierarchy, path = above.split(":", 1)
            above = None if path == "/" else f"{hierarchy}:{path.rsplit('/', 1)[0] or '/'}"
        self.show(moment)
        self.table.select(f"{TOGETHER if self._together else best.hierarchy}:{best.path}")

    def _by_path(self, container: str, moment: Moment) -> list[Cgroup]:
        found = moment.container_by_id.get(container)
        paths = set(found.cgroups.values()) if found else set()
        return [one for one in moment.cgroups if one.path in paths]

    def subject(self) -> str | None:
        """Return the container whose cgroup is under the cursor."""
        branch = self.table.selected
        return branch.item.container if branch else None

    def filter_changed(self, text: str) -> str:
        """Keep what the text accepts, and what is above it."""
        self._filter = filters.parse(text, self._columns) if text.strip() else None
        if self.shell.moment is not None:
            self.show(self.shell.moment)
        return self._filter.problem if self._filter else ""

    def focus_body(self) -> None:
        """Give the keyboard to the tree."""
        self.set_focus(self.table)

    def action_fold(self) -> None:
        """Fold what is open; on what is not, go up."""
        branch = self.table.selected
        if branch is None or self._folded is None:
            return
        if branch.children and not branch.folded:
            self._folded.add(branch.key)
            self.refresh_all()
        elif (above := parent(branch.item)) is not None:
            self.table.select(above)

    def action_unfold(self) -> None:
        """Open what is folded; on what is not, go down."""
        branch = self.table.selected
        if branch is None or self._folded is None:
            return
        if branch.folded:
            self._folded.discard(branch.key)
            self.refresh_all()
        else:
            self.table.action_move(1)

    def action_together(self) -> None:
        """Show one tree of all hierarchies, or a tree for each."""
        at = self.table.selected
        self._together = not self._together
        self.refresh_all()
        moment = self.shell.moment
        if at is None or moment is None:
            return
        same = [one for one in moment.cgroups if one.path == at.item.path]
        hierarchy = TOGETHER if self._together else same[0].hierarchy if same else ""
        self.table.select(f"{hierarchy}:{at.item.path}")

    def hints(self) -> list[tuple[str, str]]:
        """Name the way to one tree where there are several hierarchies."""
        moment = self.shell.moment
        if moment is None or len({one.hierarchy for one in moment.cgroups}) < 2:
            return super().hints()
        return [("m", "by hierarchy" if self._together else "as one tree"), *super().hints()]

    def action_figures(self) -> None:
        """Show figures instead of graphs, or graphs again."""
        self._figures = not self._figures
        self._show_graphs()

    def action_zoom(self) -> None:
        """Give the pane half the screen, or take it back."""
        self.query_one("#graphs", Lines).toggle_class("-large")

    @on(FrameTable.Moved)
    def _moved(self, message: FrameTable.Moved) -> None:
        message.stop()
        owner = self.subject()
        if owner is not None:
            self.shell.choose(owner)
        self._show_graphs()

    @on(FrameTable.Opened)
    def _opened(self, message: FrameTable.Opened) -> None:
        message.stop()
        branch = self.table.selected
        if branch is None:
            return
        if branch.item.container is not None:
            self.app.push_screen(ContainerScreen(branch.item.container, may_act=self._may_act))
        elif branch.folded:
            self.action_unfold()
        elif branch.children:
            self.action_fold()

    def _same(self, cgroup: Cgroup, moment: Moment) -> Sequence[Cgroup]:
        """Return the cgroups that a row is made of."""
        return members(moment.cgroups).get(cgroup.path, ()) if self._together else (cgroup,)

    def _plots(self, cgroup: Cgroup, moment: Moment) -> Sequence[graph.Plot]:
        owner = moment.container_by_id.get(cgroup.container or "")
        # On v1 each hierarchy knows one thing of a container: its graphs are put together here.
        if owner and cgroup.hierarchy:
            return container_plots(owner, moment)
        return (together_plots if self._together else cgroup_plots)(cgroup, moment)

    def _show_graphs(self) -> None:
        moment, branch = self.shell.moment, self.table.selected
        pane = self.query_one("#graphs", Lines)
        if moment is None or branch is None:
            pane.show(lambda _: ())
            return
        cgroup = branch.item
        name = moment.container_name(cgroup.container)
        verdict = judge_cgroup(cgroup)
        plots = () if self._figures else self._plots(cgroup, moment)
        same = self._same(cgroup, moment) if self._figures else ()

        def build(width: int) -> list[Line]:
            head: Line = (
                (f" {ids(cgroup.path)}", "bold"),
                (f"  {name}" if name else "", "plain"),
                (f"  {cgroup.hierarchy or 'unified'}", "dim"),
            )
            said = [head, *verdict_lines(verdict, width)]
            if self._figures:
                return [*said, *figures(same, width)]
            room = max(0, pane.size.height - len(said))
            drawn = graph.grid(plots, width - 2, room)
            if not drawn and room:
                drawn = [cells.dim("   no numbers: its controllers count nothing here")]
            return [*said, *((((" ", "plain"), *line)) for line in drawn)]

        pane.show(build)


def _kept(
    rows: Sequence[Branch[Cgroup]], wanted: filters.Filter[Branch[Cgroup]]
) -> list[Branch[Cgroup]]:
    keep: set[str] = set()
    for row in rows:
        if wanted.accepts(row):
            above: str | None = row.key
            hierarchy, path = row.key.split(":", 1)
            while above is not None and above not in keep:
                keep.add(above)
                path = path.rsplit("/", 1)[0]
                above = f"{hierarchy}:{path or '/'}" if above != f"{hierarchy}:/" else None
    return [row for row in rows if row.key in keep]
