/**
 * nginx, Apache and HAProxy of the distribution as servers that requests reach in the end: each passes on what it reads to a server of the
 * test, and logs every request that it saw. Unpacked by scripts/unpack-origins.ts where they are not installed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../common/testing/free-port.ts';
import { until } from '../../common/testing/until.ts';
import { cacheFolder } from '../../lab/config.ts';
import type { DebianPackage } from '../../lab/image/image.ts';
import { isInstalled, isUnpacked, layerFolder } from '../../lab/image/packages.ts';

export type OriginName = 'nginx' | 'apache' | 'haproxy';

export const originPackages: Readonly<Record<OriginName, DebianPackage>> = {
  nginx: { name: 'nginx', file: '/usr/sbin/nginx' },
  apache: { name: 'apache2-bin', file: '/usr/sbin/apache2' },
  haproxy: { name: 'haproxy', file: '/usr/sbin/haproxy' },
};

/** As a `skip` option. */
export function skipWithoutOrigins(): string | false {
  const cache = cacheFolder();
  const missing = Object.values(originPackages).find((p) => !isInstalled(p) && !isUnpacked(cache, p));
  if (missing === undefined) return false;
  const reason = `${missing.name} is not unpacked: scripts/pinned-node scripts/unpack-origins.ts`;
  if (process.env['REQUIRE_ALL'] === '1') throw new Error(`REQUIRE_ALL=1, and these tests cannot run: ${reason}`);
  return reason;
}

interface Places {
  readonly folder: string;
  /** Of the layer that the package is unpacked into; empty: the machine's own. */
  readonly root: string;
  readonly port: number;
  readonly upstream: number;
  /** Where what it understands as `/admin` goes. */
  readonly admin: number;
}

interface Program {
  config(places: Places): string;
  args(config: string, places: Places): readonly string[];
}

/** Each logs lines `METHOD TARGET VERSION` to the file `log` of its folder, which is its output, too. */
const programs: Readonly<Record<OriginName, Program>> = {
  nginx: {
    config: ({ folder, port, upstream, admin }) => `daemon off;
master_process off;
user root;
pid ${folder}/pid;
error_log ${folder}/errors;
events { worker_connections 512; }
http {
  log_format seen '$request';
  access_log ${folder}/log seen;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  server {
    listen 127.0.0.1:${port};
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    location / { proxy_pass http://127.0.0.1:${upstream}; }
    location /admin { proxy_pass http://127.0.0.1:${admin}; }
  }
}
`,
    args: (config, { folder }) => ['-p', folder, '-e', join(folder, 'errors'), '-c', config],
  },
  apache: {
    config: ({ folder, root, port, upstream, admin }) => `ServerRoot ${folder}
PidFile ${folder}/pid
DefaultRuntimeDir ${folder}
Listen 127.0.0.1:${port}
ServerName localhost
User nobody
${['mpm_event', 'authz_core', 'proxy', 'proxy_http']
  .map((m) => `LoadModule ${m}_module ${root}/usr/lib/apache2/modules/mod_${m}.so`)
  .join('\n')}
StartServers 1
ServerLimit 1
ThreadsPerChild 25
MaxRequestWorkers 25
ErrorLog ${folder}/errors
LogFormat "%r" seen
CustomLog ${folder}/log seen
AllowEncodedSlashes NoDecode
ProxyPreserveHost On
ProxyPass /admin http://127.0.0.1:${admin}/admin nocanon
ProxyPass / http://127.0.0.1:${upstream}/ nocanon
`,
    args: (config) => ['-f', config, '-D', 'FOREGROUND'],
  },
  haproxy: {
    config: ({ port, upstream, admin }) => `defaults
  mode http
  option dontlognull
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend all
  bind 127.0.0.1:${port}
  log stdout format raw local0
  log-format "%{+E}r %rt"
  use_backend admin if { path,url_dec -m beg /admin }
  default_backend behind
backend admin
  server only 127.0.0.1:${admin}
backend behind
  server only 127.0.0.1:${upstream}
`,
    args: (config) => ['-f', config],
  },
};

export class Origin implements AsyncDisposable {
  readonly name: OriginName;
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(name: OriginName, port: number, child: ChildProcess, folder: string) {
    this.name = name;
    this.port = port;
    this.#child = child;
    this.#folder = folder;
  }

  /** `upstream`: a port of loopback where what it reads is passed on to; `admin`: the same for what it understands as `/admin`. */
  static async start(name: OriginName, upstream: number, admin = upstream): Promise<Origin> {
    const folder = mkdtempSync(join(tmpdir(), `aq-${name}-`));
    const p = originPackages[name];
    const root = isInstalled(p) ? '' : layerFolder(cacheFolder(), p);
    const places = { folder, root, port: await freePort(), upstream, admin };
    const { config, args } = programs[name];
    const file = join(folder, 'config');
    writeFileSync(file, config(places));
    const libraries = ['x86_64', 'aarch64'].map((machine) => join(root, `usr/lib/${machine}-linux-gnu`));
    const log = openSync(join(folder, 'log'), 'a');
    const child = spawn(join(root, p.file), args(file, places), {
      stdio: ['ignore', log, 'pipe'],
      env: { ...process.env, ...(root !== '' && { LD_LIBRARY_PATH: libraries.join(':') }) },
    });
    closeSync(log);
    let errors = '';
    child.stderr!.on('data', (chunk) => {
      errors += String(chunk);
    });
    const origin = new Origin(name, places.port, child, folder);
    try {
      await once(child, 'spawn');
      await until(`${name} accepts`, async () => child.exitCode !== null || (await accepts(places.port)));
      if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}: ${errors}`);
      return origin;
    } catch (e) {
      await origin[Symbol.asyncDispose]();
      throw e;
    }
  }

  /** `METHOD TARGET` of each request that it logged so far, also of those that it refused; in the order of their ends. */
  get seen(): readonly string[] {
    const lines = readFileSync(join(this.#folder, 'log'), 'latin1').split('\n');
    // HAProxy writes some lines twice; the number of the request tells.
    const once = this.name === 'haproxy' ? [...new Set(lines)] : lines;
    return once.filter((line) => line !== '').map((line) => line.replace(/ HTTP\/\d.*$/, ''));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const gone = once(this.#child, 'exit');
      // Apache's children end with it by SIGTERM only.
      this.#child.kill('SIGTERM');
      await gone;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
