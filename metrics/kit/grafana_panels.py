"""One panel, or one variable, as grafana-foundation-sdk builds it; the SDK validates nothing, so forms stand here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from string import ascii_uppercase
from typing import Any

from . import libraries
from .panel_rows import Dashboard, Panel, Query
from .placeholders import Available, Names

MODULES = {"stat": "stat", "gauge": "gauge", "bar gauge": "bargauge", "table": "table", "heatmap": "heatmap"}
AT_ONCE = ("stat", "gauge", "bar gauge", "table")
"""Panels that show the value at the end of the range alone."""


def source() -> Any:
    """Return the data source that the reader chose."""
    return libraries.grafana("models.dashboard").DataSourceRef(type_val="prometheus", uid="${datasource}")


def variables(dashboard: Dashboard, available: Available, names: Names) -> Iterator[Any]:
    """Yield the variables of a dashboard: data source and job, then its own."""
    sdk, models = libraries.grafana("builders.dashboard"), libraries.grafana("models.dashboard")
    yield sdk.DatasourceVariable("datasource").label("data source").type("prometheus")
    current = models.VariableOption(selected=True, text=names.job, value=names.job)
    yield (
        sdk.QueryVariable("job")
        .query(f'label_values({{__name__=~"{names.namespace}_.+"}}, job)')
        .datasource(source())
        .current(current)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
    )
    every = models.VariableOption(selected=True, text="All", value="$__all")
    for variable in dashboard.variables:
        if available.covers(f"NS_{variable.family}"):
            yield (
                sdk.QueryVariable(variable.name)
                .query(f'label_values({names.namespace}_{variable.family}{{job="$job"}}, {variable.label})')
                .datasource(source())
                .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
                .sort(models.VariableSort.ALPHABETICAL_ASC)
                .multi(True)
                .include_all(True)
                .all_value(".*")
                .current(every)
            )


def build_panel(panel: Panel, queries: Sequence[tuple[str, Query]], unit: str, description: str, names: Names) -> Any:
    """Return the builder of a panel with its queries, unit, thresholds, colours and link."""
    built = libraries.grafana(f"builders.{MODULES.get(panel.show, 'timeseries')}").Panel()
    built.title(panel.title).description(description).datasource(source()).unit(unit)
    for letter, (expr, query) in zip(ascii_uppercase, queries, strict=False):
        built.with_target(target(panel, expr, query, letter))
    built.thresholds(thresholds(panel))
    if panel.empty:
        built.no_value(panel.empty)
    for value, colour in panel.colours.items():
        built.override_by_name(value, [prop("color", {"mode": "fixed", "fixedColor": colour})])
    if panel.opens:
        sdk = libraries.grafana("builders.dashboard")
        link = (
            f"/d/{names.namespace}-{panel.opens}?${{__url_time_range}}&${{datasource:queryparam}}&${{job:queryparam}}"
        )
        built.links([sdk.DashboardLink(f"Open {panel.opens}").url(link)])
    form(panel, built, queries, unit)
    return built


def target(panel: Panel, expr: str, query: Query, letter: str) -> Any:
    """Return one query of a panel."""
    sdk, models = libraries.grafana("builders.prometheus"), libraries.grafana("models.prometheus")
    built = sdk.Dataquery().expr(expr).ref_id(letter).datasource(source()).legend_format(query.legend or "__auto")
    if panel.show in AT_ONCE:
        built.instant()
    else:
        built.range()
    if panel.show == "table":
        built.format(models.PromQueryFormat.TABLE)
    elif panel.show == "heatmap":
        built.format(models.PromQueryFormat.HEATMAP)
    return built


def thresholds(panel: Panel) -> Any:
    """Return the steps from which colours hold; the first one holds below the second, from wherever."""
    sdk, models = libraries.grafana("builders.dashboard"), libraries.grafana("models.dashboard")
    steps = [models.Threshold(value=value, color=colour) for value, colour in sorted(panel.steps.items())]
    steps = steps or [models.Threshold(value=None, color="green")]
    steps[0].value = None
    return sdk.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def form(panel: Panel, built: Any, queries: Sequence[tuple[str, Query]], unit: str) -> None:
    """Set the form in which a panel shows its values."""
    if panel.show == "table":
        columns(built, queries)
        if panel.join and panel.width == 24:
            built.override_by_name(panel.join, [prop("custom.width", 320)])
    elif panel.show == "heatmap":
        units = libraries.grafana("builders.heatmap").YAxisConfig().unit("s")
        built.calculate(False).y_axis(units).color(
            libraries.grafana("builders.heatmap").HeatmapColorOptions().scheme("Oranges")
        )
    elif panel.show in AT_ONCE:
        common = libraries.grafana("builders.common")
        built.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        if panel.show == "gauge":
            built.min(0).max(1)
        elif panel.show == "bar gauge":
            built.min(0)  # else the shortest bar has no length
    else:
        lines(panel, built, unit)


def lines(panel: Panel, built: Any, unit: str) -> None:
    """Set the lines, areas or bars of a panel over time."""
    common, models = libraries.grafana("builders.common"), libraries.grafana("models.common")
    modes = libraries.grafana("models.dashboard").FieldColorModeId
    built.color_scheme(libraries.grafana("builders.dashboard").FieldColor().mode(modes.PALETTE_CLASSIC))
    built.min(0).line_width(1).show_points(models.VisibilityMode.AUTO)
    legend = common.VizLegendOptions().display_mode(models.LegendDisplayMode.LIST)
    built.legend(legend.placement(models.LegendPlacement.BOTTOM).show_legend(True).calcs([]))
    built.tooltip(common.VizTooltipOptions().mode(models.TooltipDisplayMode.MULTI).sort(models.SortOrder.DESCENDING))
    if unit == "percentunit":
        built.axis_soft_max(least_top(panel))
    if panel.steps:
        built.thresholds_style(common.GraphThresholdsStyleConfig().mode(models.GraphThresholdsStyleMode.DASHED))
    if panel.show != "lines":
        stacking = models.StackingMode.PERCENT if panel.show == "shares" else models.StackingMode.NORMAL
        bars = panel.show == "bars"
        built.draw_style(models.GraphDrawStyle.BARS if bars else models.GraphDrawStyle.LINE)
        # An area's outline has the colour of its last series, which may be one of zeros on top of all.
        built.line_width(1 if bars else 0).show_points(models.VisibilityMode.NEVER)
        built.fill_opacity(80 if bars else 70).stacking(common.StackingConfig().mode(stacking).group("A"))


def least_top(panel: Panel) -> float:
    """Return how far a scale of shares reaches at least: with nothing but zeros Grafana has it end at 10,000 %."""
    return min(max(panel.steps, default=0.0) or 0.1, 1.0)


def columns(built: Any, queries: Sequence[tuple[str, Query]]) -> None:
    """Set a column of a table for each query, joined by what the rows have in common."""
    models = libraries.grafana("models.dashboard")
    named = {f"Value #{letter}": query for letter, (_, query) in zip(ascii_uppercase, queries, strict=False)}
    if len(named) == 1:
        named["Value"] = named["Value #A"]
    rename = {column: query.legend for column, query in named.items()}
    built.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
    options: dict[str, object] = {"excludeByName": {"Time": True}, "renameByName": rename, "indexByName": {}}
    built.with_transformation(models.DataTransformerConfig(id_val="organize", options=options))
    for query in named.values():
        # `increase` extrapolates: of whole things it makes 90.4.
        built.override_by_name(query.legend, [prop("unit", query.unit) if query.unit else prop("decimals", 0)])


def prop(name: str, value: object) -> Any:
    """Return a property that overrides a field's own."""
    return libraries.grafana("models.dashboard").DynamicConfigValue(id_val=name, value=value)
