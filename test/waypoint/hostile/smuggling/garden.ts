/** A waypoint, ours or Envoy, before three servers that each read and pass on what it forwards, and all the accounts of it. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { typeUrl } from '../../../../common/envoy/codec.ts';
import { httpFilter, staticCluster } from '../../../../waypoint/testing/rig.ts';
import { Envoy } from '../../../harness/envoy.ts';
import { Origin, type OriginName } from '../../../harness/origins.ts';
import { WaypointProcess } from '../../../harness/waypoint.ts';

export const originNames: readonly OriginName[] = ['nginx', 'apache', 'haproxy'];
/** Ends every answer of what is behind. */
const mark = '[end]';

export class Garden implements AsyncDisposable {
  readonly #behind: Behind;
  readonly #folder: string;
  readonly origins: readonly Origin[];
  readonly #waypoint: WaypointProcess | Envoy;
  readonly #ports: ReadonlyMap<OriginName, number>;

  private constructor(
    behind: Behind,
    folder: string,
    origins: readonly Origin[],
    waypoint: WaypointProcess | Envoy,
    ports: ReadonlyMap<OriginName, number>,
  ) {
    this.#behind = behind;
    this.#folder = folder;
    this.origins = origins;
    this.#waypoint = waypoint;
    this.#ports = ports;
  }

  static async start(engine: 'ours' | 'envoy'): Promise<Garden> {
    const behind = await Behind.start();
    const folder = mkdtempSync(join(tmpdir(), 'aq-garden-'));
    const origins: Origin[] = [];
    for (const name of originNames) origins.push(await Origin.start(name, behind.port));
    const bootstrap = {
      node: { id: 'garden', cluster: 'garden' },
      static_resources: {
        clusters: origins.map((o) => staticCluster(o.name, [o.port])),
        listeners: origins.map((o) => listener(o.name, join(folder, o.name))),
      },
    };
    const waypoint = await (engine === 'ours' ? WaypointProcess.start(bootstrap) : Envoy.start(bootstrap));
    const ports = new Map<OriginName, number>();
    for (const name of originNames) ports.set(name, await waypoint.port(name));
    return new Garden(behind, folder, origins, waypoint, ports);
  }

  port(origin: OriginName): number {
    return this.#ports.get(origin)!;
  }

  /** Statuses of the answers to these bytes, until `count` of them are there besides 1xx, or the connection ends. */
  ask(origin: OriginName, bytes: string, count: number): Promise<readonly number[]> {
    const socket = connect({ port: this.port(origin), host: '127.0.0.1' });
    const bodiless = bytes.startsWith('HEAD');
    let text = '';
    return new Promise((resolve) => {
      const overdue = setTimeout(() => socket.destroy(), 5_000);
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1');
        const final = statusesIn(text).filter((status) => status >= 200);
        const marks = text.split(mark).length - 1;
        if (final.length >= count && (bodiless || marks >= final.filter((s) => s === 200).length)) socket.destroy();
      });
      socket.on('end', () => socket.destroy());
      socket.on('error', () => undefined);
      socket.on('close', () => {
        clearTimeout(overdue);
        resolve(statusesIn(text));
      });
      socket.write(bytes, 'latin1');
    });
  }

  /** Names of the headers that the last request for this path reached the end with. */
  headersAt(path: string): readonly string[] {
    return this.#behind.headers.get(path) ?? [];
  }

  /** `METHOD TARGET` of each request that the waypoint says it forwarded: in full, or broken off within the body. */
  forwarded(origin: OriginName): { readonly whole: readonly string[]; readonly broken: readonly string[] } {
    const whole: string[] = [];
    const broken: string[] = [];
    for (const line of readFileSync(join(this.#folder, origin), 'latin1').split('\n')) {
      const [request = '', host, flags = ''] = line.split('|');
      if (host === undefined || host === '-') continue;
      (/DPE|DC/.test(flags) ? broken : whole).push(request);
    }
    return { whole, broken };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#waypoint.stop();
    for (const origin of this.origins) await origin[Symbol.asyncDispose]();
    this.#behind.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Who is asked in the end. */
class Behind {
  readonly #server: Server;
  readonly headers = new Map<string, readonly string[]>();

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (asked: IncomingMessage, answer: ServerResponse) => {
      this.headers.set(asked.url!, Object.keys(asked.headers));
      asked.resume();
      asked.on('end', () => answer.end(`${asked.method} ${asked.url} ${mark}`));
    });
  }

  static async start(): Promise<Behind> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new Behind(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

function statusesIn(text: string): readonly number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
}

function listener(name: OriginName, log: string): object {
  const access = {
    name: 'file',
    typed_config: {
      '@type': typeUrl('envoy.extensions.access_loggers.file.v3.FileAccessLog'),
      path: log,
      log_format: {
        text_format_source: { inline_string: '%REQ(:METHOD)% %REQ(:PATH)%|%UPSTREAM_HOST%|%RESPONSE_FLAGS%\n' },
      },
    },
  };
  const manager = {
    access_log: [access],
    strip_trailing_host_dot: true,
    upgrade_configs: [{ upgrade_type: 'websocket' }],
    http_protocol_options: { enable_trailers: true },
    http2_protocol_options: { allow_connect: true },
  };
  const route = {
    match: { prefix: '/' },
    route: { cluster: name, timeout: '5s' },
  };
  return {
    name,
    address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
    filter_chains: [{ filters: [httpFilter([route], manager)] }],
  };
}
