/** What `aquifer analyze` is asked for. Pure. */
import { parseDuration } from '../../common/config/duration.ts';
import { analyzerNames } from '../../istiod/analysis/analyze.ts';
import { levels, type MessageLevel } from '../../istiod/analysis/codes.ts';
import { oneOf, readArguments, UsageError } from '../arguments.ts';
import type { ConnectionValues } from '../connection-options.ts';
import { options } from './options.ts';
import { parseSuppressions, type Suppression } from './suppressions.ts';

export interface AnalyzeArguments {
  readonly files: readonly string[];
  /** undefined: no cluster is read. */
  readonly cluster: ConnectionValues | undefined;
  /** ms that reading the cluster may take. */
  readonly patience: number;
  /** Of files that name none. */
  readonly namespace: string;
  /** undefined: all are told of. */
  readonly onlyNamespace: string | undefined;
  readonly revision: string;
  readonly meshConfigFile: string | undefined;
  readonly suppressions: readonly Suppression[];
  /** undefined: all. */
  readonly analyzers: ReadonlySet<string> | undefined;
  readonly ignoresUnknown: boolean;
  readonly shown: MessageLevel;
  readonly failing: MessageLevel;
  readonly format: 'log' | 'json' | 'yaml';
  readonly colors: boolean;
  readonly verbose: boolean;
  readonly lists: boolean;
}

/** UsageError. */
export function parseAnalyzeArguments(args: readonly string[]): AnalyzeArguments {
  const { values, positionals } = readArguments('analyze', args, options);
  const live = values['use-kube'];
  const lists = values['list-analyzers'] === true;
  if (!live && !lists && positionals.length === 0)
    throw new UsageError('aquifer analyze: without a cluster a file is expected');
  const patience = parseDuration(values.timeout);
  if (patience === undefined)
    throw new UsageError(`--timeout: ${JSON.stringify(values.timeout)}: expected a duration such as 30s`);
  return {
    files: positionals,
    cluster: live ? values : undefined,
    patience,
    namespace: values.namespace ?? 'default',
    onlyNamespace: values['all-namespaces'] === true ? undefined : values.namespace,
    revision: values.revision,
    meshConfigFile: values.meshConfigFile,
    suppressions: parseSuppressions(values.suppress ?? []),
    analyzers: values.analyzer && new Set(values.analyzer.map((name) => oneOf('--analyzer', name, ...analyzerNames))),
    ignoresUnknown: values['ignore-unknown'] === true,
    shown: oneOf('--output-threshold', values['output-threshold'], ...levels),
    failing: oneOf('--failure-threshold', values['failure-threshold'], ...levels),
    format: oneOf('--output', values.output, 'log', 'json', 'yaml'),
    colors: values.color,
    verbose: values.verbose === true,
    lists,
  };
}
