"""Revenue by market segment, one panel a month: a table whose cells are bars."""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

from reservation.frontdesk.html import EMPTY, Html, html, join
from reservation.frontdesk.words import count, euros, month
from reservation.reservations.revenue.read import MonthlyRevenue


def revenue_chart(rows: Sequence[MonthlyRevenue], months: Sequence[str]) -> Html:
    if not rows:
        return html('<p class="empty">No stay of these months has been paid for yet.</p>')
    months = [each for each in months if any(row.month == each for row in rows)]
    cells = {(row.segment, row.month): row for row in rows}
    totals: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        totals[row.segment] += row.revenue
    most = max(row.revenue for row in rows) or Decimal(1)
    lines = [
        html(
            '<tr><th scope="row">{segment}</th>{cells}</tr>',
            segment=segment,
            cells=join([_cell(cells.get((segment, each)), most) for each in months], ""),
        )
        for segment in sorted(totals, key=lambda segment: (-totals[segment], segment))
    ]
    return html(
        '<div class="scroll" tabindex="0" role="region" aria-label="Revenue table">'
        '<table class="bars"><thead><tr><th scope="col">Segment</th>{months}</tr></thead>'
        "<tbody>{lines}</tbody>"
        '<tfoot><tr><th scope="row">All</th>{sums}</tr></tfoot></table></div>',
        months=join([html('<th scope="col">{m}</th>', m=month(each)) for each in months], ""),
        lines=join(lines),
        sums=join([_sum(rows, each) for each in months], ""),
    )


def _cell(row: MonthlyRevenue | None, most: Decimal) -> Html:
    if row is None:
        return html('<td><span class="none">&ndash;</span></td>')
    return html(
        '<td title="{stays}">{bar}<span>{amount}</span></td>',
        stays=count(row.stays, "stay"),
        bar=_bar(row.revenue / most),
        amount=euros(row.revenue),
    )


def _bar(share: Decimal) -> Html:
    if share <= 0:
        return EMPTY
    return html(
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<rect width="{width}" height="10"/></svg>',
        width=f"{max(100 * share, Decimal(1)):.1f}",
    )


def _sum(rows: Sequence[MonthlyRevenue], of: str) -> Html:
    total = sum((row.revenue for row in rows if row.month == of), Decimal(0))
    return html("<td><span>{total}</span></td>", total=euros(total))
