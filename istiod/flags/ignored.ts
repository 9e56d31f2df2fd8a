/** Flags of pilot-discovery that a start line of Istio's may have, and that change nothing here. Each is taken, and the log says why. */
import type { SettingsReader } from '../../common/config/reader.ts';

const reasons = {
  '--networksConfig':
    "MeshNetworks are not read; the label topology.istio.io/network of istiod's namespace and of pods names their network, a Gateway with it leads there",
  '--cniNamespace': 'nodes are not tainted, and pods whose capture failed not repaired, by istiod',
  '--shutdownDuration':
    'istiod ends streams at once when it is asked to end: clients go on with what they know and ask another',
  '--kubernetesApiQPS':
    'statuses are written 20 a second at most, and each kind is read by one watch; nothing else is paced',
  '--kubernetesApiBurst':
    'statuses are written 20 a second at most, and each kind is read by one watch; nothing else is paced',
  '--log_target': 'the log goes to standard output',
  '--log_stacktrace_level': 'errors are told with the object, the field and the remedy, and never with a stack',
  '--log_caller': 'lines of the log name their target, and not the line of the source',
} as const;

type IgnoredFlag = keyof typeof reasons;

export const ignoredFlags = Object.keys(reasons) as readonly IgnoredFlag[];

export interface Ignored {
  readonly flag: IgnoredFlag;
  readonly value: string;
  readonly reason: string;
}

/** Those that are given. */
export function readIgnored(r: SettingsReader): readonly Ignored[] {
  return ignoredFlags.flatMap((flag) => {
    const value = r.given(flag);
    return value === undefined ? [] : [{ flag, value, reason: reasons[flag] }];
  });
}
