/** The one tree of commands. A command's code is loaded when it runs. */
import { verb as analyze } from './analyze/verb.ts';
import { verb as bugReport } from './bug-report/verb.ts';
import { verb as check } from './check/verb.ts';
import { verb as completion } from './completion/verb.ts';
import { verb as dashboard } from './dashboard/verb.ts';
import { verb as experimental } from './experimental/verb.ts';
import { verb as filter } from './filter/verb.ts';
import type { Verb } from './grammar.ts';
import { install, manifest, uninstall } from './install/verb.ts';
import { verb as migrate } from './migrate/verb.ts';
import { createRemoteSecret, remoteClusters } from './multicluster/verb.ts';
import { verb as proxyConfig } from './proxy-config/verb.ts';
import { verb as proxyStatus } from './proxy-status/verb.ts';
import { ca, crds, lab, validate, wait } from './small-verbs.ts';
import { verb as tag } from './tag/verb.ts';
import { verb as tap } from './tap/verb.ts';
import { verb as version } from './version/verb.ts';
import { verb as waypoint } from './waypoint/verb.ts';
import { verb as why } from './why/verb.ts';
import { verb as ztunnelConfig } from './ztunnel-config/verb.ts';

export const root: Verb = {
  summary: 'a service mesh without sidecars',
  verbs: {
    analyze,
    'bug-report': bugReport,
    ca,
    check,
    completion,
    crds,
    'create-remote-secret': createRemoteSecret,
    dashboard,
    experimental,
    filter,
    install,
    lab,
    manifest,
    migrate,
    'proxy-config': proxyConfig,
    'proxy-status': proxyStatus,
    'remote-clusters': remoteClusters,
    tag,
    tap,
    uninstall,
    validate,
    version,
    wait,
    waypoint,
    why,
    'ztunnel-config': ztunnelConfig,
  },
};
