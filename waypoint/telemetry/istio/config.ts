/** Reads the configuration of Istio's filter `istio.stats`. */
import { type Millis, millis } from '../../../common/core/brand.ts';
import type { Fields } from '../../../common/envoy/fields.ts';
import { compileExpression, compileText, type Expression } from '../../expression/expression.ts';
import type { FormatContext } from '../../format/format.ts';

type Text = (context: FormatContext) => string | undefined;

export interface StatsConfig {
  /** Default `istio_`. */
  readonly prefix: string;
  /** Between two reports of connections and of gRPC streams that stay open. Default 5 s, as Istio's. */
  readonly interval: Millis;
  readonly usesHost: boolean;
  /** In order; later ones count before earlier ones. */
  readonly overrides: readonly MetricOverride[];
  readonly definitions: readonly MetricDefinition[];
}

export interface MetricOverride {
  /** Without prefix; empty: of all. */
  readonly metric: string;
  readonly tags: readonly (readonly [name: string, value: Text])[];
  readonly removed: readonly string[];
  readonly drop: boolean;
}

export interface MetricDefinition {
  readonly name: string;
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly value: Expression;
}

export function readStatsConfig(fields: Fields): StatsConfig {
  // Of Istio's older form of it; peers are told otherwise here.
  fields.harmless('debug', 'max_peer_cache_size', 'field_separator', 'value_separator');
  // Only a waypoint's own view is known here: both ends are others.
  if (fields.choice('reporter', 'UNSPECIFIED', { UNSPECIFIED: false, SERVER_GATEWAY: true }) === false)
    fields.mistake('reporter', 'is not SERVER_GATEWAY');
  return {
    prefix: fields.text('stat_prefix') || 'istio_',
    interval: fields.duration('tcp_reporting_duration') || millis(5_000),
    usesHost: !fields.flag('disable_host_header_fallback'),
    overrides: fields.list('metrics').map(readOverride),
    definitions: fields.list('definitions').map(readDefinition),
  };
}

function readOverride(fields: Fields): MetricOverride {
  return {
    metric: fields.text('name'),
    tags: fields.textMap('dimensions').flatMap(([name, text]) => {
      const value = attempt(fields, `dimensions[${name}]`, () => compileText(text));
      return value ? [[name, value] as const] : [];
    }),
    removed: fields.texts('tags_to_remove'),
    drop: fields.flag('drop'),
  };
}

function readDefinition(fields: Fields): MetricDefinition {
  const name = fields.text('name');
  if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name)) fields.mistake('name', `${JSON.stringify(name)} is no name of a metric`);
  return {
    name,
    kind:
      fields.choice('type', 'COUNTER', { COUNTER: 'counter', GAUGE: 'gauge', HISTOGRAM: 'histogram' } as const) ??
      'counter',
    value: attempt(fields, 'value', () => compileExpression(fields.text('value'))) ?? (() => undefined),
  };
}

function attempt<T>(fields: Fields, name: string, make: () => T): T | undefined {
  try {
    return make();
  } catch (e) {
    fields.mistake(name, (e as Error).message);
    return undefined;
  }
}
