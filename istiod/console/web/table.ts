/** A table that can be searched. */
import { count, element } from './text.ts';

export type Cell =
  | string
  | { readonly text: string; readonly class: string }
  /** A button. */
  | { readonly text: string; readonly open: () => void };

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
    body.replaceChildren(...found.slice(0, shown).map(rowOf));
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

/** A click anywhere in a row does what its button does. */
function rowOf(cells: readonly Cell[]): HTMLElement {
  const row = element('tr', {}, ...cells.map(cellOf));
  const opening = row.querySelector('button');
  if (opening === null) return row;
  row.classList.add('opens');
  row.addEventListener('click', (event) => {
    if (!(event.target as Element).closest('button') && getSelection()?.type !== 'Range') opening.click();
  });
  return row;
}

function textOf(cell: Cell): string {
  return typeof cell === 'string' ? cell : cell.text;
}

function cellOf(cell: Cell, column: number): HTMLElement {
  const attributes = typeof cell === 'object' && 'class' in cell ? { class: cell.class } : {};
  const content = typeof cell === 'object' && 'open' in cell ? opener(cell) : textOf(cell);
  return column === 0 ? element('th', { scope: 'row', ...attributes }, content) : element('td', attributes, content);
}

function opener({ text, open }: Extract<Cell, { readonly open: unknown }>): HTMLElement {
  const button = element('button', { type: 'button', class: 'opener' }, text);
  button.addEventListener('click', open);
  return button;
}
