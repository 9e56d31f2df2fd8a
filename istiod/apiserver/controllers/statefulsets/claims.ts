/** The claims of volumes that each pod of a StatefulSet has for itself. Pure. */
import type { PodTemplate } from '../../../../common/kube/kinds/apps.ts';
import type { Draft } from '../runtime/writer.ts';
import type { ClaimTemplate, StatefulSet } from '../types.ts';

const nameOf = (template: ClaimTemplate, pod: string) => `${template.metadata.name}-${pod}`;

/** They stay when the pod goes, and the next pod of the name finds them again. */
export function claimsOf({ spec, metadata }: StatefulSet, pod: string): readonly Draft[] {
  return (spec.volumeClaimTemplates ?? []).map((template) => ({
    metadata: {
      name: nameOf(template, pod),
      namespace: metadata.namespace ?? '',
      labels: { ...template.metadata.labels, ...spec.selector.matchLabels },
      ...(template.metadata.annotations === undefined ? {} : { annotations: { ...template.metadata.annotations } }),
    },
    spec: template.spec,
  }));
}

/** The template with its volumes of these names from the pod's claims. */
export function withClaims(template: PodTemplate, { spec }: StatefulSet, pod: string): PodTemplate {
  const templates = spec.volumeClaimTemplates ?? [];
  if (templates.length === 0) return template;
  const names = new Set(templates.map((t) => t.metadata.name));
  const own = (template.spec.volumes ?? []).filter((v) => !names.has(v.name));
  const claimed = templates.map((t) => ({
    name: t.metadata.name,
    persistentVolumeClaim: { claimName: nameOf(t, pod) },
  }));
  return { ...template, spec: { ...template.spec, volumes: [...own, ...claimed] } };
}
