/** The plugin as a runtime calls it: environment and stdin in, stdout and exit code out. The agent at the other end is scripted. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createRawServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { silentLogger } from '../../common/core/log.ts';
import { skipUnless } from '../../test/harness/require.ts';
import type { PluginEvent } from '../plugin-server/event.ts';
import { pluginSocket, servePlugin } from '../plugin-server/server.ts';

const build = join(import.meta.dirname, 'build');
const binary = join(build, 'aquifer-cni');

interface Answer {
  readonly code: number | null;
  readonly stdout: string;
  /** Of an error. */
  readonly error: {
    readonly code: number;
    readonly msg: string;
    readonly details?: string;
    readonly cniVersion: string;
  };
}

const previous = {
  cniVersion: '1.0.0',
  interfaces: [{ name: 'eth0', sandbox: '/run/netns/x' }],
  ips: [
    { address: '10.0.0.2/24', gateway: '10.0.0.1', interface: 0 },
    { address: 'fd00::2/64', interface: 0 },
  ],
  dns: {},
};

describe('the CNI plugin', { skip: skipUnless('plugin') }, () => {
  let dir: string;
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'aq-plugin-'));
  });
  after(() => rmSync(dir, { recursive: true }));

  const config = (more: object = {}) => ({
    cniVersion: '1.0.0',
    name: 'net',
    type: 'aquifer-cni',
    cni_agent_run_dir: dir,
    exclude_namespaces: ['kube-system'],
    prevResult: previous,
    ...more,
  });
  const args = (namespace = 'shop', name = 'web-1') =>
    `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name};K8S_POD_UID=0a-1b`;

  async function call(
    command: string,
    input: unknown = config(),
    env: Record<string, string | undefined> = {},
  ): Promise<Answer> {
    const child = spawn(binary, [], {
      env: {
        CNI_COMMAND: command,
        CNI_CONTAINERID: 'c1',
        CNI_IFNAME: 'eth0',
        CNI_NETNS: '/run/netns/x',
        CNI_PATH: '/opt/cni/bin',
        CNI_ARGS: args(),
        ...env,
      },
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(typeof input === 'string' || Buffer.isBuffer(input) ? input : JSON.stringify(input));
    const [stdout, code] = await Promise.all([
      text(child.stdout),
      new Promise<number | null>((resolve) => child.on('close', resolve)),
    ]);
    return { code, stdout, error: (code === 0 ? {} : JSON.parse(stdout)) as Answer['error'] };
  }

  /** An agent that answers as told and remembers what it was asked. */
  async function withAgent(
    answer: (event: PluginEvent) => Promise<void>,
    run: (asked: readonly (PluginEvent & { call: string })[]) => Promise<void>,
  ): Promise<void> {
    const asked: (PluginEvent & { call: string })[] = [];
    const handler = (what: string) => (event: PluginEvent) => {
      asked.push({ ...event, call: what });
      return answer(event);
    };
    const handlers = { add: handler('add'), del: handler('del'), check: handler('check') };
    const server = await servePlugin(dir, handlers, silentLogger);
    try {
      await run(asked);
    } finally {
      server.close();
    }
  }

  test('ADD tells the agent of the pod and gives the result of the plugin before on, to the byte', async () => {
    await withAgent(
      async () => undefined,
      async (asked) => {
        const odd = JSON.stringify(config()).replace('"dns":{}', '"dns": { } , "x":1.50e+02,"é":"\\u00e9\\/"');
        const given = /"prevResult":(.*)\}$/.exec(odd)![1];
        const added = await call('ADD', odd);
        assert.equal(added.code, 0, added.stdout);
        assert.equal(added.stdout, `${given}\n`);
        assert.deepEqual(asked, [
          {
            call: 'add',
            netns: '/run/netns/x',
            name: 'web-1',
            namespace: 'shop',
            uid: '0a-1b',
            ips: ['10.0.0.2', 'fd00::2'],
          },
        ]);
      },
    );
  });

  test('the event is as Go writes the one of Istio', async () => {
    let posted = '';
    const server = createRawServer((socket) => {
      socket.on('data', (data) => {
        posted += data;
        if (posted.includes('"IPs"')) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      });
    });
    await new Promise<void>((resolve) => server.listen(join(dir, pluginSocket), resolve));
    const added = await call('ADD');
    server.close();
    assert.equal(added.code, 0, added.stdout);
    assert.match(posted, /^POST \/cmdadd HTTP\/1\.0\r\n/);
    assert.deepEqual(JSON.parse(posted.slice(posted.indexOf('\r\n\r\n'))), {
      Netns: '/run/netns/x',
      PodName: 'web-1',
      PodNamespace: 'shop',
      PodUID: '0a-1b',
      IPs: [
        { Interface: 0, Address: { IP: '10.0.0.2', Mask: '////AA==' }, Gateway: '10.0.0.1' },
        { Interface: 0, Address: { IP: 'fd00::2', Mask: '//////////8AAAAAAAAAAA==' }, Gateway: '' },
      ],
    });
  });

  test('a pod that the agent refuses does not start, and the reason is said', async () => {
    await withAgent(
      async () => {
        throw new Error('no "ztunnel" is connected\nat all');
      },
      async () => {
        const { code, error } = await call('ADD');
        assert.equal(code, 1);
        assert.deepEqual(error, {
          cniVersion: '1.0.0',
          code: 11,
          msg: 'the node agent cannot take the pod into the mesh now',
          details: 'no "ztunnel" is connected',
        });
        assert.equal((await call('CHECK')).error.code, 11);
        assert.deepEqual([(await call('DEL')).code, (await call('DEL')).stdout], [0, '']);
      },
    );
  });

  test('without an agent: what may be of the mesh waits, the rest starts, and everything can go', async () => {
    assert.equal((await call('ADD')).error.code, 11);
    assert.match((await call('ADD')).error.msg, /not running/);
    writeFileSync(join(dir, 'outside-namespaces'), 'default\nplain\n');
    for (const [namespace, code] of [
      ['plain', 0],
      ['default', 0],
      ['kube-system', 0],
      ['shop', 1],
      ['plai', 1],
      ['plain\n', 1],
    ] as const) {
      assert.equal((await call('ADD', config(), { CNI_ARGS: args(namespace) })).code, code, namespace);
    }
    const done = await call('DEL', config(), { CNI_NETNS: undefined });
    assert.deepEqual([done.code, done.stdout], [0, '']);
    for (const command of ['GC', 'STATUS']) {
      const quiet = await call(command, config({ cniVersion: '1.1.0' }));
      assert.deepEqual([command, quiet.code, quiet.stdout], [command, 0, '']);
    }
    // A socket that a killed agent left behind.
    await withAgent(
      async () => undefined,
      async () => undefined,
    );
    assert.equal((await call('ADD')).error.code, 11);
  });

  test('whom Kubernetes did not start is let through', async () => {
    assert.equal((await call('ADD', config(), { CNI_ARGS: undefined })).code, 0);
    assert.equal((await call('ADD', config(), { CNI_ARGS: 'A=b;C=' })).code, 0);
  });

  test('VERSION names what is spoken', async () => {
    const { code, stdout } = await call('VERSION', { cniVersion: '0.4.0' });
    assert.equal(code, 0);
    const supportedVersions = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'];
    assert.deepEqual(JSON.parse(stdout), { cniVersion: '0.4.0', supportedVersions });
  });

  for (const [what, code, input, env, command = 'ADD'] of [
    ['no JSON', 6, '{"cniVersion"', {}],
    ['bytes that are no UTF-8', 6, Buffer.from([0x22, 0xff, 0x22]), {}],
    ['more than 1 MiB', 5, ' '.repeat(1_100_000), {}],
    ['no object', 7, '[]', {}],
    ['an unknown version', 1, { cniVersion: '0.2.0' }, {}],
    ['no version', 1, { cniVersion: undefined }, {}],
    ['no run directory', 7, { cni_agent_run_dir: undefined }, {}],
    ['a relative run directory', 7, { cni_agent_run_dir: 'run' }, {}],
    ['no plugin before it', 7, { prevResult: undefined }, {}],
    ['addresses that are none', 6, { prevResult: { ips: [{ address: 'ten/24' }] } }, {}],
    ['a prefix that is too long', 6, { prevResult: { ips: [{ address: '10.0.0.1/33' }] } }, {}],
    ['too many addresses', 6, { prevResult: { ips: Array(17).fill({ address: '10.0.0.1/32' }) } }, {}],
    ['arguments that are none', 4, {}, { CNI_ARGS: 'what' }],
    ['a name that is too long', 4, {}, { CNI_ARGS: `K8S_POD_NAME=${'x'.repeat(300)}` }],
    ['no namespace path', 4, {}, { CNI_NETNS: undefined }],
    ['no container', 4, {}, { CNI_CONTAINERID: '' }],
    ['an unknown command', 4, {}, {}, 'EXPLODE'],
  ] as const satisfies readonly (readonly [string, number, unknown, Record<string, string | undefined>, string?])[]) {
    test(`refuses ${what} with code ${code}`, async () => {
      const document = typeof input === 'string' || Buffer.isBuffer(input) ? input : config(input);
      assert.equal((await call(command, document, env)).error.code, code);
    });
  }

  test('an agent that talks nonsense is an error of I/O, and its words are bounded', async () => {
    for (const said of ['nonsense', '', 'HTTP/1.1 abc\r\n\r\n', 'HTTP/1.1 200'.slice(0, 9), 'x'.repeat(100_000)]) {
      const server = createRawServer((socket) => {
        socket.on('error', () => undefined);
        socket.end(said);
      });
      await new Promise<void>((resolve) => server.listen(join(dir, pluginSocket), resolve));
      assert.equal((await call('ADD')).error.code, 5, said.slice(0, 20));
      assert.equal((await call('DEL')).code, 0);
      server.close();
    }
  });

  test('its reader of JSON accepts exactly what JSON.parse does, in bounds, and finds the same member', async () => {
    const value = fc.jsonValue({ maxDepth: 6 });
    const object = fc
      .dictionary(fc.oneof(fc.constant('key'), fc.string()), value)
      .map((o) => JSON.stringify(o, null, 1));
    const broken = fc
      .tuple(
        fc.oneof(
          object,
          value.map((v) => JSON.stringify(v)),
        ),
        fc.nat(),
        fc.constantFrom('', '"', '\\', '{', ']', ',', '0', 'e', '\\u12', '\\ud800', '\n', 'é', '\u0001'),
      )
      .map(([document, at, put]) => {
        const i = at % (document.length + 1);
        return document.slice(0, i) + put + document.slice(i + (at % 3));
      });
    const samples = [
      ...fc.sample(object, { numRuns: 5_000, seed: 1 }),
      ...fc.sample(broken, { numRuns: 20_000, seed: 2 }),
      ...[
        '-',
        '-0',
        '01',
        '1.',
        '.5',
        '1e',
        '1E+5',
        'tru',
        'nul',
        '"',
        '"\\',
        '[',
        '{"a"',
        '{"a":1,}',
        '[1,]',
        '',
        ' ',
        '\ufeff{}',
      ],
      '{"key":1,"key":2}',
      `${'['.repeat(64)}${']'.repeat(64)}`,
    ];
    const child = spawn(join(build, 'json-lines'));
    const frames = samples.map((sample) => {
      const bytes = Buffer.from(sample);
      const head = Buffer.alloc(4);
      head.writeUInt32LE(bytes.length);
      return Buffer.concat([head, bytes]);
    });
    child.stdin.end(Buffer.concat(frames));
    const [out, errors, code] = await Promise.all([
      child.stdout.toArray() as Promise<Buffer[]>,
      text(child.stderr),
      new Promise((resolve) => child.on('close', resolve)),
    ]);
    assert.equal(code, 0, errors);
    const answers = Buffer.concat(out);
    let at = 0;
    const upTo = (byte: string) => {
      const end = answers.indexOf(byte, at);
      const word = answers.subarray(at, end).toString();
      at = end + 1;
      return word;
    };
    for (const sample of samples) {
      // "no\n", or "yes 5 12345\n".
      const accepted = answers[at] === 'y'.charCodeAt(0);
      let member: string | undefined;
      if (accepted) {
        upTo(' ');
        const length = Number(upTo(' '));
        member = answers.subarray(at, at + length).toString();
        at += length;
      }
      upTo('\n');
      const expected = parse(Buffer.from(sample).toString());
      const told = JSON.stringify(sample);
      assert.equal(accepted, expected !== undefined, told);
      if (!accepted || !isObject(expected!.value) || sample === '{"key":1,"key":2}') continue;
      const wanted = expected!.value['key'];
      if (wanted === undefined) assert.equal(member, '', told);
      else if (member !== '') assert.deepEqual(JSON.parse(member!), wanted, told);
    }
    const deep = await call('ADD', `${'['.repeat(65)}${']'.repeat(65)}`);
    assert.equal(deep.error.code, 6);
  });
});

/** Lone surrogates, which JSON.parse takes and UTF-8 has not, are refused. */
function parse(sample: string): { readonly value: unknown } | undefined {
  try {
    const value = JSON.parse(sample) as unknown;
    return isWellFormed(value) ? { value } : undefined;
  } catch {
    return undefined;
  }
}

function isWellFormed(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed();
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([k, v]) => k.isWellFormed() && isWellFormed(v));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
