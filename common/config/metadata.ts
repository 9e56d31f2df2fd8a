/** What a proxy tells istiod about itself besides its name (ambient-wire 3.7). */
import type { JsonValue } from '../api/index.ts';
import type { Settings, SettingsReader } from './reader.ts';

const prefix = 'ISTIO_META_';
const jsonPrefix = 'ISTIO_METAJSON_';

export type Metadata = Readonly<Record<string, JsonValue>>;

/** `ISTIO_META_<X>` as `<X>`, over proxyMetadata's entries of either spelling; `ISTIO_METAJSON_<X>` parsed. */
export function parseMetadata(
  r: SettingsReader,
  env: Settings,
  proxyMetadata: Readonly<Record<string, string>>,
): Metadata {
  const found: Record<string, JsonValue> = {};
  for (const [name, value] of Object.entries(proxyMetadata)) {
    found[name.startsWith(prefix) ? name.slice(prefix.length) : name] = value;
  }
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined) continue;
    if (name.startsWith(prefix)) found[name.slice(prefix.length)] = value;
    if (!name.startsWith(jsonPrefix) || value === '') continue;
    try {
      found[name.slice(jsonPrefix.length)] = JSON.parse(value) as JsonValue;
    } catch {
      r.mistake(`${name}=${JSON.stringify(value)}: expected JSON`);
    }
  }
  return found;
}
