/** logs, exec, attach, port-forward and cp of the real kubectl, over WebSocket and SPDY, with a kubelet that runs plain processes. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, connect as dialTcp, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '../../common/core/clock.ts';
import { silentLogger } from '../../common/core/log.ts';
import { certificateAnnotation } from '../../common/kube/kubelet/requests.ts';
import { until } from '../../common/testing/until.ts';
import { startTestServer, type TestServer } from '../../istiod/apiserver/testing/client.ts';
import { makeCertificate } from '../../lab/kubelet/certificate.ts';
import { runProcess } from '../../lab/kubelet/process.ts';
import type { AttachRequest, ContainerRuntime, ExecRequest, LogRequest } from '../../lab/kubelet/runtime.ts';
import { type KubeletServer, Refusal, startKubeletServer } from '../../lab/kubelet/server.ts';
import { Kubectl, skipWithoutKubectl } from '../harness/kubectl.ts';

const environment = { PATH: process.env['PATH'] ?? '', TERM: 'xterm' };

/** Containers are folders' worth of processes of this machine. */
class PlainRuntime implements ContainerRuntime {
  readonly asked: LogRequest[] = [];

  async logs(request: LogRequest): Promise<AsyncIterable<Uint8Array>> {
    this.asked.push(request);
    if (request.container === 'away')
      throw new Refusal(400, 'BadRequest', 'container "away" in pod "web" is waiting to start');
    return (async function* () {
      yield Buffer.from('first\n');
      yield Buffer.from('second\n');
    })();
  }

  async exec({ command, options, container }: ExecRequest) {
    if (container === 'away') throw new Refusal(400, 'BadRequest', 'container away does not run');
    const argv = options.tty ? ['setsid', '--ctty', '--wait', ...command] : command;
    return runProcess({ argv, env: environment, owner: 0, clock: systemClock }, options);
  }

  async attach({ options }: AttachRequest) {
    return runProcess({ argv: ['cat'], env: environment, owner: 0, clock: systemClock }, options);
  }

  async dial({ port }: { readonly port: number }) {
    const socket = dialTcp({ port, host: '127.0.0.1', allowHalfOpen: true });
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return socket;
  }
}

describe('kubectl streams', { skip: skipWithoutKubectl() }, () => {
  let server: TestServer;
  let kubelet: KubeletServer;
  let kubectl: Kubectl;
  let folder: string;
  const runtime = new PlainRuntime();

  before(async () => {
    server = await startTestServer();
    kubectl = new Kubectl(server.server.kubeconfig);
    folder = await mkdtemp(join(tmpdir(), 'aquifer-streams-'));
    kubelet = await startKubeletServer({
      ...(await makeCertificate('node-1', Date.now())),
      clientCa: server.client.config.ca,
      listen: { host: '127.0.0.1', port: 0 },
      runtime,
      log: silentLogger,
    });
    const metadata = { name: 'node-1', annotations: { [certificateAnnotation]: kubelet.fingerprint } };
    const made = await server.client.ask('/api/v1/nodes', { method: 'POST', body: { metadata } });
    assert.equal(made.code, 201);
    const status = {
      addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
      daemonEndpoints: { kubeletEndpoint: { Port: kubelet.address.port } },
      conditions: [{ type: 'Ready', status: 'True' }],
    };
    await patch('/api/v1/nodes/node-1/status', { status });
    await pod('web', 'node-1');
    await pod('nowhere', undefined);
  });
  after(async () => {
    await kubelet.stop();
    await server[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  async function patch(path: string, body: object): Promise<void> {
    const { code, json } = await server.client.ask(path, {
      method: 'PATCH',
      body,
      type: 'application/merge-patch+json',
    });
    assert.equal(code, 200, JSON.stringify(json));
  }

  async function pod(name: string, nodeName: string | undefined): Promise<void> {
    const containers = ['main', 'away'].map((c) => ({ name: c, image: 'debian' }));
    const annotations = { 'kubectl.kubernetes.io/default-container': 'main' };
    const body = {
      metadata: { name, annotations },
      spec: { containers, ...(nodeName ? { nodeName } : { nodeSelector: { no: 'node' } }) },
    };
    const made = await server.client.ask('/api/v1/namespaces/default/pods', { method: 'POST', body });
    assert.equal(made.code, 201, JSON.stringify(made.json));
    if (nodeName) await patch(`/api/v1/namespaces/default/pods/${name}/status`, { status: { phase: 'Running' } });
  }

  test('logs, with its options', async () => {
    assert.equal(await kubectl.ok(['logs', 'web', '-c', 'main']), 'first\nsecond\n');
    await kubectl.ok(['logs', 'web', '-f', '--previous', '--timestamps', '--tail=5', '--limit-bytes=9', '--since=10s']);
    const { options } = runtime.asked.at(-1)!;
    assert.equal(Math.abs(Date.now() - options.since! - 10_000) < 5_000, true);
    assert.deepEqual(
      { ...options, since: 0 },
      { follow: true, previous: true, timestamps: true, tail: 5, limit: 9, since: 0, stream: 'All' },
    );
    const refused = await kubectl.run(['logs', 'web', '-c', 'away']);
    assert.match(
      refused.stderr,
      /^Error from server \(BadRequest\): container "away" in pod "web" is waiting to start/,
    );
    assert.match((await kubectl.run(['logs', 'web', '-c', 'none'])).stderr, /container none is not valid for pod web/);
    const { json } = await server.client.ask('/api/v1/namespaces/default/pods/web/log?container=main&tailLines=-1');
    assert.deepEqual([json.code, json.reason, json.details.causes[0].field], [422, 'Invalid', 'tailLines']);
  });

  for (const [protocol, env] of Object.entries({
    WebSocket: {},
    SPDY: { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'false', KUBECTL_PORT_FORWARD_WEBSOCKETS: 'false' },
  })) {
    describe(protocol, () => {
      const run = (args: readonly string[], input = '') => new Kubectl(server.server.kubeconfig).run(args, input, env);

      test('exec: output, errors, input and exit code', async () => {
        const echo = await run(['exec', 'web', '--', 'sh', '-c', 'echo out; echo err >&2; exit 7']);
        assert.deepEqual(echo, { code: 7, stdout: 'out\n', stderr: 'err\ncommand terminated with exit code 7\n' });
        const input = 'x'.repeat(300_000);
        const copied = await run(['exec', '-i', 'web', '--', 'cat'], input);
        assert.deepEqual([copied.code, copied.stdout === input, copied.stderr], [0, true, '']);
        const own = await run(['exec', 'web', '--', 'sh', '-c', 'echo again > /dev/stdout']);
        assert.equal(own.stdout, 'again\n');
        const much = await run(['exec', 'web', '--', 'head', '-c', '20000000', '/dev/zero']);
        assert.equal(much.stdout.length, 20_000_000);
      });

      test('exec: refusals of the node and of the server', async () => {
        assert.match((await run(['exec', 'web', '-c', 'away', '--', 'true'])).stderr, /container away does not run/);
        assert.match(
          (await run(['exec', 'web', '-c', 'none', '--', 'true'])).stderr,
          /container none is not valid for pod web|container none not found/,
        );
        assert.match((await run(['exec', 'nowhere', '--', 'true'])).stderr, /does not have a host assigned/);
        assert.match((await run(['exec', 'absent', '--', 'true'])).stderr, /pods "absent" not found/);
        assert.match((await run(['exec', 'web', '--', 'no-such-program'])).stderr, /no-such-program/);
      });

      test('exec -it: a terminal that has the size of the user’s and follows it', async () => {
        const { terminal, shown, code } = kubectl.type(['exec', '-it', 'web', '--', 'sh'], env);
        const shows = (what: RegExp) => until(`the terminal shows ${what}`, () => what.test(shown.text), 15_000);
        await shows(/[#$] $/);
        terminal.write('tty; until [ "$(stty size)" = "33 101" ]; do :; done; echo si""zed\r');
        await shows(/\/dev\/pts\/\d+/);
        await shows(/sized/);
        terminal.resize(77, 22);
        terminal.write('until [ "$(stty size)" = "22 77" ]; do :; done; echo re""sized\r');
        await shows(/resized/);
        terminal.write('exit 3\r');
        assert.equal(await code, 3, shown.text);
        terminal.destroy();
      });

      test('attach', async () => {
        const { code, stdout } = await run(['attach', '-i', 'web', '-c', 'main'], 'to and fro\n');
        assert.deepEqual({ code, stdout }, { code: 0, stdout: 'to and fro\n' });
      });

      test('cp, both ways', async () => {
        const [from, there, back] = ['from', 'there', 'back'].map((n) => join(folder, `${protocol}-${n}`));
        const content = 'y'.repeat(200_000);
        await writeFile(from!, content);
        const to = await run(['cp', from!, `web:${there}`]);
        assert.equal(to.code, 0, to.stderr);
        const fro = await run(['cp', `web:${there}`, back!]);
        assert.equal(fro.code, 0, fro.stderr);
        assert.equal(await readFile(back!, 'utf8'), content);
      });

      test('port-forward: several connections, half-closed ones, and a port where nobody listens', async () => {
        const echo = await listening((socket) => socket.pipe(socket));
        const child = kubectl.start(['port-forward', 'web', `:${port(echo)}`, ':1'], env);
        let said = '';
        for (const stream of [child.stdout!, child.stderr!]) {
          stream.on('data', (chunk) => {
            said += String(chunk);
          });
        }
        try {
          await until('forwarding', () => /127\.0\.0\.1:\d+ -> 1\n/.test(said), 15_000);
          const [good = 0, bad = 0] = [...said.matchAll(/127\.0\.0\.1:(\d+) ->/g)].map((m) => Number(m[1]));
          const payload = Buffer.alloc(500_000, 'z');
          const answers = await Promise.all(Array.from({ length: 8 }, () => exchange(good, payload)));
          assert.deepEqual(
            answers.map((a) => a.equals(payload)),
            Array.from({ length: 8 }, () => true),
          );
          assert.equal((await exchange(bad, payload)).length, 0);
          await until('the reason', () => /error forwarding port 1 to pod web/.test(said), 15_000);
        } finally {
          child.kill();
          echo.close();
        }
      });
    });
  }

  test('a node that shows another certificate than its object names is told nothing', async () => {
    await patch('/api/v1/nodes/node-1', { metadata: { annotations: { [certificateAnnotation]: '0'.repeat(64) } } });
    const { code, stderr } = await kubectl.run(['logs', 'web', '-c', 'main']);
    assert.equal(code, 1);
    assert.match(stderr, /error dialing the kubelet of node "node-1": it shows another certificate/);
    await patch('/api/v1/nodes/node-1', {
      metadata: { annotations: { [certificateAnnotation]: kubelet.fingerprint } },
    });
  });

  test('a kubelet answers nobody but the API server', async () => {
    const { request } = await import('node:https');
    const code = await new Promise((resolve, reject) => {
      const asked = request(
        {
          host: '127.0.0.1',
          port: kubelet.address.port,
          path: '/containerLogs/default/web/main',
          rejectUnauthorized: false,
        },
        (response) => resolve(response.resume().statusCode),
      );
      asked.on('error', reject).end();
    });
    assert.equal(code, 401);
  });
});

async function listening(onConnection: (socket: import('node:net').Socket) => void): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (socket) => onConnection(socket.on('error', () => undefined)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

function port(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** All that comes back for all that is sent, by a client that ends its half first. */
function exchange(to: number, payload: Buffer): Promise<Buffer> {
  return new Promise((resolve) => {
    const socket = dialTcp({ port: to, host: '127.0.0.1', allowHalfOpen: true });
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => void chunks.push(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(Buffer.concat(chunks)));
    socket.on('end', () => socket.end());
    socket.end(payload);
  });
}
