/** A table that can be searched. */
import { count, element } from './text.ts';

export type Cell = string | { readonly text: string; readonly class: string };

export interface Rows {
  readonly what: readonly [one: string, many: string];
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

/** More would make typing slow; the rest is found by searching. */
const shown = 1_000;

export interface TablePage {
  update(rows: Rows): void;
}

export function openTable(main: HTMLElement, title: string): TablePage {
  const search = element('input', {
    type: 'search',
    class: 'filter',
    'aria-label': `Search ${title}`,
    placeholder: 'Search',
  });
  const caption = element('caption', { 'aria-live': 'polite' });
  const head = element('thead');
  const body = element('tbody');
  main.replaceChildren(element('h2', {}, title), search, element('table', {}, caption, head, body));
  let current: Rows | undefined;
  let before = '';
  const draw = () => {
    if (current === undefined) return;
    const { what, columns, rows } = current;
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = rows.filter((row) => {
      const text = row.map(textOf).join(' ').toLowerCase();
      return words.every((w) => text.includes(w));
    });
    caption.textContent = `${count(found.length, ...what)}${found.length > shown ? `, the first ${shown} are shown` : ''}`;
    head.replaceChildren(element('tr', {}, ...columns.map((c) => element('th', { scope: 'col' }, c))));
    body.replaceChildren(...found.slice(0, shown).map((row) => element('tr', {}, ...row.map(cellOf))));
  };
  search.addEventListener('input', draw);
  return {
    update(rows) {
      const text = JSON.stringify(rows);
      if (text === before) return;
      before = text;
      current = rows;
      draw();
    },
  };
}

function textOf(cell: Cell): string {
  return typeof cell === 'string' ? cell : cell.text;
}

function cellOf(cell: Cell, column: number): HTMLElement {
  const attributes = typeof cell === 'string' ? {} : { class: cell.class };
  return column === 0
    ? element('th', { scope: 'row', ...attributes }, textOf(cell))
    : element('td', attributes, textOf(cell));
}
