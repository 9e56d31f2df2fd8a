/** Kinds that are kept and that nothing here acts on. Who creates one is told: an object that looks like protection must not be trusted. */
import type { PartMaker } from '../part.ts';

const why: ReadonlyMap<string, string> = new Map([
  [
    'replicationcontrollers',
    'ReplicationController is stored, but no controller makes its pods here; use a Deployment',
  ],
  ['persistentvolumeclaims', 'PersistentVolumeClaim is stored, but nothing here makes or binds volumes'],
  [
    'networkpolicies.networking.k8s.io',
    'NetworkPolicy is stored, but nothing here enforces it; AuthorizationPolicy is',
  ],
  [
    'ingresses.networking.k8s.io',
    'Ingress is stored, but nothing here serves it unless you run a controller of its class',
  ],
  ['horizontalpodautoscalers.autoscaling', 'HorizontalPodAutoscaler is stored, but nothing here scales by it'],
  ['priorityclasses.scheduling.k8s.io', 'PriorityClass is stored, but pods are neither ranked nor evicted by it here'],
]);

export const unenforcedPart: PartMaker = () => ({
  admission: [
    {
      name: 'Unenforced',
      validate({ operation, resource, subresource, warn }) {
        if (operation !== 'CREATE' || subresource !== '') return;
        const text = why.get(resource.group === '' ? resource.resource : `${resource.resource}.${resource.group}`);
        if (text !== undefined) warn(text);
      },
    },
  ],
});
