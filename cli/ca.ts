/** `aquifer ca`: asks istiod to replace a self-signed root, takes that back, tells how far it is. */
import { type Clock, systemClock } from '../common/core/clock.ts';
import { MeshError } from '../common/core/errors.ts';
import { rotationMap } from '../common/identity/root-rotation.ts';
import { type ConfigMap, configMapKind } from '../common/kube/kinds/core.ts';
import type { KubeSource } from '../common/kube/types.ts';
import { openClient } from './api-access.ts';
import { oneOf, readArguments, UsageError } from './arguments.ts';
import { caOptions } from './options.ts';

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('ca', args, caOptions);
  const [word, ...surplus] = positionals;
  if (word === undefined || surplus.length > 0)
    throw new UsageError('aquifer ca takes one word; see aquifer ca --help');
  const action = oneOf('aquifer ca', word, 'status', 'rotate', 'abort');
  const source = openClient(values, process.env);
  try {
    process.stdout.write(`${await rotate(action, source, values.istioNamespace, systemClock)}\n`);
    return 0;
  } finally {
    source.close();
  }
}

/** What was done, for people. MeshError CONFLICT where it cannot be. */
export async function rotate(
  action: 'status' | 'rotate' | 'abort',
  source: Pick<KubeSource, 'get' | 'create' | 'patch'>,
  namespace: string,
  clock: Pick<Clock, 'wall'>,
): Promise<string> {
  const key = { namespace, name: rotationMap };
  const found = await source.get<ConfigMap>(configMapKind, key);
  const { rotate: asked, abort, 'status.phase': phase = 'none', ...status } = found?.data ?? {};
  const isHeard = asked === undefined || asked === abort || asked === status['status.request'];
  switch (action) {
    case 'status':
      return tell(phase, status, isHeard);
    case 'rotate': {
      if (phase !== 'none' || !isHeard)
        throw new MeshError('CONFLICT', 'a replacement is under way already; see aquifer ca status');
      const data = { rotate: new Date(clock.wall()).toISOString() };
      if (found) await source.patch(configMapKind, key, { data });
      else await source.create(configMapKind, { apiVersion: 'v1', kind: 'ConfigMap', metadata: key, data });
      return 'asked for; aquifer ca status tells how far it is';
    }
    case 'abort':
      if (asked === undefined || (phase === 'none' && isHeard))
        throw new MeshError('CONFLICT', 'no replacement is under way that somebody asked for');
      if (phase === 'retiring')
        throw new MeshError(
          'CONFLICT',
          'the new root signs already: what is left is to wait, or another replacement after it',
        );
      await source.patch(configMapKind, key, { data: { abort: asked } });
      return 'taken back; aquifer ca status tells when it is done';
  }
}

function tell(phase: string, status: Readonly<Record<string, string>>, isHeard: boolean): string {
  const row = (title: string, text: string | undefined) => (text ? [`${title}: ${text}`] : []);
  return [
    isHeard ? `phase: ${phase}` : `phase: ${phase}; istiod has not heard of the newest request yet`,
    ...row('signs', status['status.signs']),
    ...row('trusted', status['status.trusted']),
    ...row('waits for', status['status.waiting']?.replaceAll('\n', '\n  ')),
  ].join('\n');
}
