/** Types of xDS by which istioctl asks: `istio.io/debug` with a page's name, and `istio.io/debug/syncz` for proxy-status. */
import { status } from '@grpc/grpc-js';
import { clientConfigMessage, enums, stringField, structFromJson } from '../../common/api/index.ts';
import type { Caller } from '../caller.ts';
import type { ClientStatus } from '../xds/client.ts';
import { NoSuchProxy, type Page, toJson } from './pages.ts';

export type DebugAnswer =
  | { readonly kind: 'values'; readonly valueType: string; readonly values: readonly Uint8Array[] }
  | { readonly kind: 'refused'; readonly code: status; readonly reason: string };

/** Who asks: authenticated, or from this machine on the plain port. */
export interface Asker {
  readonly caller: Caller | undefined;
  readonly isLocal: boolean;
}

export interface XdsDebugOptions {
  readonly pages: Readonly<Record<string, Page>>;
  readonly statuses: () => readonly ClientStatus[];
  /** Whose accounts may see everything. */
  readonly rootNamespace: string;
}

const debugType = 'istio.io/debug';

export function isDebugType(typeUrl: string): boolean {
  return typeUrl === debugType || typeUrl.startsWith(`${debugType}/`);
}

export function answerDebug(
  options: XdsDebugOptions,
  typeUrl: string,
  names: readonly string[],
  { caller, isLocal }: Asker,
): DebugAnswer {
  if (caller === undefined ? !isLocal : caller.namespace !== options.rootNamespace) {
    const who = caller === undefined ? 'this address' : `${caller.namespace}/${caller.serviceAccount}`;
    const reason = `debug information is for accounts of ${options.rootNamespace} and for istiod's own machine, not for ${who}`;
    return { kind: 'refused', code: status.PERMISSION_DENIED, reason };
  }
  if (typeUrl === `${debugType}/syncz`) {
    const valueType = 'type.googleapis.com/envoy.service.status.v3.ClientConfig';
    return { kind: 'values', valueType, values: options.statuses().map(clientConfig) };
  }
  const asked = typeUrl === debugType ? names : [typeUrl.slice(debugType.length + 1)];
  const [name] = asked;
  if (asked.length !== 1 || name === undefined) {
    return { kind: 'refused', code: status.INVALID_ARGUMENT, reason: 'exactly one debug page is asked for at a time' };
  }
  const { pathname, searchParams } = new URL(name, 'http://localhost/');
  const page = pathname.slice(1);
  const show = Object.hasOwn(options.pages, page) ? options.pages[page] : undefined;
  if (show === undefined) {
    return { kind: 'refused', code: status.NOT_FOUND, reason: `there is no debug page ${JSON.stringify(page)}` };
  }
  try {
    const shown = show(searchParams);
    const text = typeof shown === 'string' ? shown : toJson(shown);
    return { kind: 'values', valueType: debugType, values: [Buffer.from(text)] };
  } catch (e) {
    if (e instanceof NoSuchProxy) return { kind: 'values', valueType: debugType, values: [Buffer.from(e.message)] };
    throw e;
  }
}

function clientConfig(s: ClientStatus): Uint8Array {
  const metadata = ['CLUSTER_ID', 'NAMESPACE', 'ISTIO_VERSION'].flatMap((name) => {
    const text = stringField(s.metadata, name);
    return text === undefined ? [] : [[name, text] as const];
  });
  return clientConfigMessage.encode({
    node: { id: s.id.split('~')[2] ?? s.id, metadata: structFromJson(Object.fromEntries(metadata)) },
    genericXdsConfigs: [...s.types].map(([typeUrl, t]) => {
      const at = { seconds: Math.floor(t.sentAt / 1000), nanos: Math.floor(t.sentAt % 1000) * 1_000_000 };
      return {
        typeUrl,
        lastUpdated: at,
        configStatus: enums.configStatus.number(
          t.lastError !== '' ? 'ERROR' : t.sent === '' ? 'NOT_SENT' : t.isWaiting ? 'STALE' : 'SYNCED',
        ),
        ...(t.lastError !== '' && { errorState: { lastUpdateAttempt: at, details: t.lastError } }),
      };
    }),
  });
}
