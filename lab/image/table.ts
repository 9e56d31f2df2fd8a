/** The images a lab knows. A new one is an entry here. */
import { join } from 'node:path';
import { checkout } from '../config.ts';
import { envoyFile } from './envoy.ts';
import { type DebianPackage, emptyImage, type Image, imageName } from './image.ts';

const nginxPackage: DebianPackage = { name: 'nginx', file: '/usr/sbin/nginx' };
const redisPackage: DebianPackage = { name: 'redis-server', file: '/usr/bin/redis-server' };
const curlPackage: DebianPackage = { name: 'curl', file: '/usr/bin/curl' };
const iperfPackage: DebianPackage = { name: 'iperf3', file: '/usr/bin/iperf3' };
const wrkPackage: DebianPackage = { name: 'wrk', file: '/usr/bin/wrk' };
const prometheusPackage: DebianPackage = { name: 'prometheus', file: '/usr/bin/prometheus' };
const h2loadPackage: DebianPackage = { name: 'nghttp2-client', file: '/usr/bin/h2load' };

/** The layout of the official image: sites in conf.d, pages in /usr/share/nginx/html, logs on stdout and stderr. */
const nginxConf = `user www-data;
worker_processes auto;
error_log /dev/stderr notice;
pid /run/nginx.pid;
events { worker_connections 4096; }
http {
  include /etc/nginx/mime.types;
  default_type application/octet-stream;
  access_log /dev/stdout;
  sendfile on;
  keepalive_timeout 65;
  include /etc/nginx/conf.d/*.conf;
}
`;

const nginxSite = `server {
  listen 80;
  listen [::]:80;
  root /usr/share/nginx/html;
}
`;

const nginxPage = '<!doctype html>\n<title>nginx</title>\n<p>nginx in an Aquifer lab\n';

/** As the official image: arguments alone mean redis-server, which then serves other pods too. */
const redisEntrypoint = `#!/bin/sh
case $1 in -*|*.conf) set -- redis-server "$@" ;; esac
[ "$1" = redis-server ] && set -- "$@" --protected-mode no
exec "$@"
`;

function nodeProgram(name: string, file: string): Image {
  return {
    ...emptyImage,
    name,
    entrypoint: [join(checkout, 'scripts/pinned-node'), join(checkout, 'lab/workloads', file)],
    needsCheckout: true,
  };
}

/** A program of ours, by its name in bin/. */
function ownProgram(name: string, program: string, ...args: readonly string[]): Image {
  return { ...emptyImage, name, entrypoint: [join(checkout, 'bin', program), ...args], needsCheckout: true };
}

const envoyPath = '/usr/local/bin/envoy';

function tool(name: string, debianPackage: DebianPackage): Image {
  return { ...emptyImage, name, packages: [debianPackage], entrypoint: [debianPackage.name] };
}

export const images: readonly Image[] = [
  {
    ...emptyImage,
    name: 'nginx',
    packages: [nginxPackage, curlPackage],
    command: ['nginx', '-g', 'daemon off;'],
    files: {
      '/etc/nginx/nginx.conf': nginxConf,
      '/etc/nginx/conf.d/default.conf': nginxSite,
      '/usr/share/nginx/html/index.html': nginxPage,
    },
  },
  {
    ...emptyImage,
    name: 'redis',
    packages: [redisPackage],
    entrypoint: ['/usr/local/bin/docker-entrypoint.sh'],
    command: ['redis-server'],
    workingDir: '/data',
    files: { '/usr/local/bin/docker-entrypoint.sh': redisEntrypoint },
  },
  tool('curlimages/curl', curlPackage),
  tool('networkstatic/iperf3', iperfPackage),
  tool('williamyeh/wrk', wrkPackage),
  tool('prom/prometheus', prometheusPackage),
  {
    ...emptyImage,
    name: 'debian',
    packages: [curlPackage, redisPackage, iperfPackage, wrkPackage, h2loadPackage],
    command: ['bash'],
  },
  nodeProgram('aquifer/echo', 'echo.ts'),
  nodeProgram('aquifer/client', 'client.ts'),
  ownProgram('aquifer/waypoint', 'waypoint'),
  // As Istio's image: an Envoy beside an agent, which is ours here.
  { ...ownProgram('istio/proxyv2', 'waypoint', '--envoy', envoyPath), programs: { [envoyPath]: envoyFile } },
];

/** One image for the whole mesh, from whatever hub a chart's values name: `HUB/aquifer:TAG`. */
const meshPrograms = ['ztunnel', 'waypoint', 'istiod', 'aquifer', 'cni-agent'] as const;
const meshImage: Image = {
  ...emptyImage,
  name: 'aquifer',
  files: Object.fromEntries(
    meshPrograms.map((p) => [`/usr/local/bin/${p}`, `#!/bin/sh\nexec '${join(checkout, 'bin', p)}' "$@"\n`]),
  ),
  needsCheckout: true,
};

/** An absolute path is a root file system on this machine, such as `npm run image` makes. */
export function findImage(reference: string): Image | undefined {
  if (reference.startsWith('/')) return { ...emptyImage, name: reference, root: reference };
  const name = imageName(reference);
  return images.find((i) => i.name === name) ?? (name.split('/').at(-1) === meshImage.name ? meshImage : undefined);
}

/** For an error: `image "foo:1" is not known; known are ...`. */
export function unknownImage(reference: string): string {
  const known = images.map((i) => i.name).join(', ');
  return `image "${reference}" is not in the lab's table (lab/image/table.ts); known are ${known}, and absolute paths of root file systems`;
}
