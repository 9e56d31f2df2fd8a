/** Dashboards as data, and as Grafana's JSON (schema 39, Grafana 10.4 and later; https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model). Pure. */

export type Unit = 'short' | 'Bps' | 'bytes' | 'ops' | 's' | 'ms' | 'percentunit';

export interface Query {
  /** PromQL. `$name` is a variable of the dashboard, `$__rate_interval` Grafana's own. */
  readonly expr: string;
  /** `{{label}}` is the value of a label. */
  readonly legend: string;
  /** Nothing is counted while all is well, so that the answer may be empty. */
  readonly rare?: true;
}

export interface Panel {
  readonly title: string;
  readonly kind: 'timeseries' | 'stat' | 'table';
  readonly unit: Unit;
  readonly queries: readonly Query[];
}

/** A choice at the top: values of a label. */
export interface Variable {
  readonly name: string;
  readonly label: string;
  /** PromQL selector whose series have the label. */
  readonly of: string;
  readonly by: string;
}

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

export interface Dashboard {
  /** Also the name of its file. */
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly variables: readonly Variable[];
  readonly rows: readonly Row[];
}

export function chart(title: string, unit: Unit, ...queries: readonly Query[]): Panel {
  return { title, kind: 'timeseries', unit, queries };
}

export function stat(title: string, unit: Unit, expr: string): Panel {
  return { title, kind: 'stat', unit, queries: [{ expr, legend: title }] };
}

/** Of 24 columns. */
const widths = { timeseries: 12, stat: 4, table: 24 } as const;
const heights = { timeseries: 8, stat: 4, table: 8 } as const;
const datasource = { type: 'prometheus', uid: '$datasource' };

export function grafanaJson(dashboard: Dashboard): object {
  const panels: object[] = [];
  let [y, id] = [0, 1];
  for (const { title, panels: inside } of dashboard.rows) {
    panels.push({ id: id++, type: 'row', title, collapsed: false, gridPos: { h: 1, w: 24, x: 0, y: y++ }, panels: [] });
    let [x, height] = [0, 0];
    for (const panel of inside) {
      const [w, h] = [widths[panel.kind], heights[panel.kind]];
      if (x + w > 24) {
        y += height;
        [x, height] = [0, 0];
      }
      panels.push(panelJson(panel, id++, { h, w, x, y }));
      x += w;
      height = Math.max(height, h);
    }
    y += height;
  }
  return {
    uid: `aquifer-${dashboard.id}`,
    title: dashboard.title,
    description: dashboard.description,
    tags: ['aquifer', 'istio'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    refresh: '15s',
    time: { from: 'now-30m', to: 'now' },
    templating: { list: [datasourceJson, ...dashboard.variables.map(variableJson)] },
    panels,
  };
}

const datasourceJson = {
  name: 'datasource',
  label: 'Data source',
  type: 'datasource',
  query: 'prometheus',
  current: {},
  hide: 0,
};

function variableJson({ name, label, of, by }: Variable): object {
  return {
    name,
    label,
    type: 'query',
    datasource,
    query: { query: `label_values(${of}, ${by})`, refId: name },
    refresh: 2,
    sort: 1,
    multi: true,
    includeAll: true,
    allValue: '.*',
    current: { selected: true, text: ['All'], value: ['$__all'] },
    hide: 0,
  };
}

function panelJson({ title, kind, unit, queries }: Panel, id: number, gridPos: object): object {
  return {
    id,
    type: kind,
    title,
    datasource,
    gridPos,
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    options: kind === 'timeseries' ? { tooltip: { mode: 'multi', sort: 'desc' } } : {},
    targets: queries.map(({ expr, legend }, i) => ({
      refId: String.fromCharCode(65 + i),
      datasource,
      expr,
      legendFormat: legend,
      ...(kind === 'timeseries'
        ? { range: true }
        : { instant: true, format: kind === 'table' ? 'table' : 'time_series' }),
    })),
  };
}
