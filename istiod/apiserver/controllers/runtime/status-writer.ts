/** Writes a status where it is another than the stored one. */
import { isSameJson } from '../../../../common/core/same-json.ts';
import type { Kind, KubeObject } from '../../../../common/kube/types.ts';
import { unlessGone, type Writer } from './writer.ts';

/** Members that are undefined are left out. An object that is gone needs none. */
export function writeStatus(writer: Writer, kind: Kind, object: KubeObject, status: object): Promise<void> {
  const wanted = JSON.parse(JSON.stringify(status)) as object;
  if (isSameJson(wanted, object['status'])) return Promise.resolve();
  const { namespace = '', name, uid } = object.metadata;
  return unlessGone(() =>
    writer.update(
      kind,
      { namespace, name, uid },
      (current) => {
        if (isSameJson(current['status'], wanted)) return 'unchanged';
        current['status'] = wanted;
        return 'changed';
      },
      'status',
    ),
  );
}
