/**
 * Paths, hosts and headers that are written so that a policy misses them: a DENY of /admin and of the host secret.test, and of a header's
 * value, in our waypoint and in Envoy, under what istiod makes of each pathNormalization (istiod/envoy/listeners/http.ts).
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { typeUrl } from '../../../common/envoy/codec.ts';
import { type Request, type Site, World } from '../../envoy/world.ts';
import { skipWithoutEnvoy } from '../../harness/envoy.ts';

const rbac = {
  name: 'envoy.filters.http.rbac',
  typed_config: {
    '@type': typeUrl('envoy.extensions.filters.http.rbac.v3.RBAC'),
    rules: {
      action: 'DENY',
      policies: {
        all: {
          principals: [{ any: true }],
          permissions: [
            { url_path: { path: { exact: '/admin' } } },
            { url_path: { path: { prefix: '/admin/' } } },
            { header: { name: ':authority', string_match: { exact: 'secret.test', ignore_case: true } } },
            { header: { name: ':authority', string_match: { prefix: 'secret.test:', ignore_case: true } } },
            { header: { name: 'x-role', string_match: { contains: 'root' } } },
          ],
        },
      },
    },
  },
};

const routes = {
  virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'c0' } }] }],
};

const levels = {
  BASE: { normalize_path: true },
  MERGE_SLASHES: { normalize_path: true, merge_slashes: true },
  DECODE_AND_MERGE_SLASHES: {
    normalize_path: true,
    merge_slashes: true,
    path_with_escaped_slashes_action: 'UNESCAPE_AND_FORWARD',
  },
} as const;
type Level = keyof typeof levels;

const all: readonly Level[] = ['BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES'];
const merging = all.slice(1);
const decoding = all.slice(2);

/** `[path, levels at which it is /admin to the policy]`; at others it goes on as it is written. */
const paths: readonly (readonly [path: string, refusedAt: readonly Level[]])[] = [
  ['/admin', all],
  ['/admin/', all],
  ['/admin?x', all],
  ['/admin?/../x', all],
  ['/x/../admin', all],
  ['/x/./../admin', all],
  ['/./admin', all],
  ['/x/..%2fadmin', decoding],
  ['/x/%2e%2e/admin', all],
  ['/x/%2E%2e/admin', all],
  ['/x/.%2e/admin', all],
  ['/%61dmin', all],
  ['/%61%64%6d%69%6e', all],
  ['/%2561dmin', []],
  ['//admin', merging],
  ['///admin', merging],
  ['/x//../admin', []],
  ['/x/..//admin', merging],
  ['/\\admin', merging],
  ['\\admin', all],
  ['/x\\..\\admin', all],
  ['/admin\\x', all],
  ['/%5cadmin', decoding],
  ['/%2fadmin', decoding],
  ['/admin%2fx', decoding],
  ['/admin%5Cx', decoding],
  ['/x/..;/admin', all],
  ['/x/..;a=b/admin', all],
  ['/.;/admin', all],
  ['/x/%2e%2e;/admin', []],
  ['/admin;x', []],
  ['/admin/..;/admin', all],
  ['/admin/../x', []],
  ['/admin/%2e%2e/x', []],
  ['/ADMIN', []],
  ['/../../admin', all],
  ['/admin/.', all],
  ['/admin/..%00/', all],
  ['/%00/admin', all],
  ['/admin%00', all],
  ['/admin#x', all],
  ['/x#/../admin', all],
];

const hosts: readonly (readonly [host: string, refused: boolean])[] = [
  ['secret.test', true],
  ['SECRET.test', true],
  ['secret.test.', true],
  ['Secret.Test.', true],
  ['secret.test:80', true],
  ['secret.test.:80', true],
  ['SECRET.TEST.:8080', true],
  ['secret.test:', true],
  ['secret.test:x', true],
  ['secret.test/', true],
  ['a@secret.test', false],
  ['secret.test..', false],
  ['xsecret.test', false],
];

const headers: readonly (readonly [name: string, headers: Request['headers'], refused: boolean])[] = [
  ['once', [['x-role', 'root']], true],
  ['in capitals', [['X-ROLE', 'root']], true],
  [
    'as the second value',
    [
      ['x-role', 'user'],
      ['x-role', 'root'],
    ],
    true,
  ],
  [
    'as the first value',
    [
      ['x-role', 'root'],
      ['x-role', 'user'],
    ],
    true,
  ],
  ['in a list', [['x-role', 'user, root']], true],
  ['with an underscore', [['x_role', 'root']], false],
  ['another value', [['x-role', 'user']], false],
];

describe('names that are written otherwise', { skip: skipWithoutEnvoy() }, () => {
  let world: World;
  before(async () => {
    const sites = all.map((level): Site => {
      const options = { ...levels[level], strip_trailing_host_dot: true };
      return { routes, options, filters: [rbac] };
    });
    world = await World.start(sites);
  });
  after(() => world[Symbol.asyncDispose]());

  /** Both say the same: whether it is refused. */
  const check = async (level: Level, parts: Partial<Request>): Promise<boolean> => {
    const request: Request = { method: 'GET', authority: 'a.test', path: '/x', headers: [], ...parts };
    const site = all.indexOf(level);
    const ours = await world.ask('ours', site, request);
    const envoy = await world.ask('envoy', site, request);
    assert.equal(ours.status, envoy.status, `Envoy's answer to ${JSON.stringify(parts)}`);
    assert.equal(ours.received?.path, envoy.received?.path);
    assert.equal(ours.received?.authority, envoy.received?.authority);
    return ours.status !== 200;
  };

  for (const level of all) {
    it(`paths, with ${level}`, async () => {
      const refused: string[] = [];
      for (const [path] of paths) if (await check(level, { path })) refused.push(path);
      assert.deepEqual(
        refused,
        paths.filter(([, at]) => at.includes(level)).map(([path]) => path),
      );
    });
  }

  it('hosts', async () => {
    for (const [authority, refused] of hosts) assert.equal(await check('BASE', { authority }), refused, authority);
  });

  it('values of headers', async () => {
    for (const [name, some, refused] of headers) assert.equal(await check('BASE', { headers: some }), refused, name);
  });
});
