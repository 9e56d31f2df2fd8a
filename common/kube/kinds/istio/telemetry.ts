/** telemetry.istio.io Telemetry. */
import {
  about,
  boolean,
  double,
  list,
  map,
  object,
  oneOf,
  orNull,
  string,
  type TypeOf,
  where,
} from '../../schema/types.ts';
import type { Kind, KubeObject } from '../../types.ts';
import { age, duration, type IstioStatus, istioKind, oneTarget, selector, targetRef, targetRefs } from './common.ts';

const filled = string({ minLength: 1 });
const providers = about(
  'Extension providers of the mesh configuration.',
  list(object({ 'name!': about('Name of the provider.', filled) })),
);
const mode = about(
  'Whether calls count where they leave or where they arrive.',
  oneOf('CLIENT_AND_SERVER', 'CLIENT', 'SERVER'),
);

const customTag = object(
  {
    literal: object({ 'value!': filled }),
    environment: object({ 'name!': filled, defaultValue: string() }),
    header: object({ 'name!': filled, defaultValue: string() }),
    formatter: object({ 'value!': filled }),
  },
  { atMostOneOf: [['literal', 'environment', 'header', 'formatter']] },
);

const tagOverride = where(
  where(
    object({
      operation: about('UPSERT sets the label, REMOVE takes it away.', oneOf('UPSERT', 'REMOVE')),
      value: about('CEL expression.', string()),
    }),
    "!has(self.operation) || self.operation != 'UPSERT' || (has(self.value) && self.value != '')",
    'UPSERT needs a value',
  ),
  "!has(self.operation) || self.operation != 'REMOVE' || !has(self.value)",
  'REMOVE takes no value',
);

const spec = object(
  {
    selector,
    targetRef: about('What this is attached to; targetRefs takes several.', targetRef),
    targetRefs,
    tracing: about(
      'Traces.',
      list(
        object({
          match: object({ mode }),
          providers,
          randomSamplingPercentage: about('Share of the requests that are traced.', orNull(double(0, 100))),
          disableSpanReporting: about('No spans are sent.', orNull(boolean)),
          disableContextPropagation: about('Headers of traces are not passed on.', orNull(boolean)),
          customTags: about('Further tags of spans.', map(customTag)),
          useRequestIdForTraceSampling: about('X-Request-Id decides what is traced.', orNull(boolean)),
          enableIstioTags: about("Whether spans have Istio's tags. Default true.", orNull(boolean)),
        }),
      ),
    ),
    metrics: about(
      'Metrics.',
      list(
        object({
          providers,
          overrides: about(
            'Changes of single metrics, in their order.',
            list(
              object({
                match: object(
                  {
                    metric: about(
                      'A standard metric.',
                      oneOf(
                        'ALL_METRICS',
                        'REQUEST_COUNT',
                        'REQUEST_DURATION',
                        'REQUEST_SIZE',
                        'RESPONSE_SIZE',
                        'TCP_OPENED_CONNECTIONS',
                        'TCP_CLOSED_CONNECTIONS',
                        'TCP_SENT_BYTES',
                        'TCP_RECEIVED_BYTES',
                        'GRPC_REQUEST_MESSAGES',
                        'GRPC_RESPONSE_MESSAGES',
                      ),
                    ),
                    customMetric: about('Another metric.', filled),
                    mode,
                  },
                  { atMostOneOf: [['metric', 'customMetric']] },
                ),
                disabled: about('The metric is not made.', orNull(boolean)),
                tagOverrides: about('Labels by their names.', map(tagOverride)),
              }),
            ),
          ),
          reportingInterval: about('Time between reports.', duration),
        }),
      ),
    ),
    accessLogging: about(
      'Access logs.',
      list(
        object({
          match: object({ mode }),
          providers,
          disabled: about('Nothing is logged.', orNull(boolean)),
          filter: about('Which calls are logged.', object({ expression: about('CEL expression.', string()) })),
        }),
      ),
    ),
  },
  oneTarget,
);

export interface Telemetry extends KubeObject {
  readonly spec?: TypeOf<typeof spec>;
  readonly status?: IstioStatus;
}

export const telemetryKind: Kind<Telemetry> = {
  group: 'telemetry.istio.io',
  version: 'v1',
  kind: 'Telemetry',
  plural: 'telemetries',
  namespaced: true,
};

export const telemetry = istioKind(telemetryKind, {
  description: 'Metrics, traces and access logs of workloads.',
  versions: ['v1', 'v1alpha1'],
  storage: 'v1alpha1',
  shortNames: ['telemetry'],
  columns: [age],
  spec,
  specRequired: false,
});
