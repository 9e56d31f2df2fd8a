/** istiod's model behind its intake, with what it keeps of each object: the last one that was valid. Only for tests. */
import { keyOf } from '../../common/kube/informer.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { meshKinds, tableOf } from '../../istiod/model/ambient/inputs.ts';
import { AmbientIndex } from '../../istiod/model/ambient-index.ts';
import { Intake } from '../../istiod/model/intake.ts';
import { defaultSettings } from '../../istiod/model/settings.ts';
import { keptOf } from '../../istiod/model/trim.ts';
import { faultOf } from '../../istiod/validation/fault.ts';

export class KeptMesh {
  readonly index = new AmbientIndex({
    settings: { ...defaultSettings, clusterId: 'c' },
    onFailure: ({ error }) => {
      throw error;
    },
  });
  /** By kind and name. */
  readonly objects = new Map<string, KubeObject>();
  readonly #intakes = new Map<string, Intake<KubeObject>>();

  /** Returns whether it is valid. */
  put(object: KubeObject): boolean {
    const mesh = meshKinds.find((k) => k.kind.kind === object.kind)!;
    const fault = (o: KubeObject) => (mesh.isCustom ? faultOf(o) : undefined);
    let intake = this.#intakes.get(object.kind);
    if (intake === undefined) {
      const gate = { isDiscovered: () => true, revision: undefined };
      const table = tableOf(this.index.inputs, mesh);
      intake = new Intake({ table, gate, faultOf: fault, onVerdict: () => undefined });
      this.#intakes.set(object.kind, intake);
    }
    intake.put(keyOf(object.metadata), mesh.trim(object));
    const isValid = fault(object) === undefined;
    if (isValid) this.objects.set(`${object.kind} ${keyOf(object.metadata)}`, keptOf(object));
    return isValid;
  }
}
