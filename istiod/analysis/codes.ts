/** Sorts of messages: Istio's codes and names, so that what is suppressed or searched for stays the same; the sentences are ours. */

export type MessageLevel = 'Error' | 'Warning' | 'Info';

export interface Sort {
  readonly code: string;
  readonly level: MessageLevel;
}

export const sorts = {
  Deprecated: { code: 'IST0002', level: 'Warning' },
  ReferencedResourceNotFound: { code: 'IST0101', level: 'Error' },
  NamespaceNotInjected: { code: 'IST0102', level: 'Info' },
  SchemaValidationError: { code: 'IST0106', level: 'Error' },
  MisplacedAnnotation: { code: 'IST0107', level: 'Warning' },
  UnknownAnnotation: { code: 'IST0108', level: 'Warning' },
  ConflictingMeshGatewayVirtualServiceHosts: { code: 'IST0109', level: 'Error' },
  ConflictingSidecarWorkloadSelectors: { code: 'IST0110', level: 'Error' },
  MultipleSidecarsWithoutWorkloadSelectors: { code: 'IST0111', level: 'Error' },
  VirtualServiceDestinationPortSelectorRequired: { code: 'IST0112', level: 'Error' },
  PortNameIsNotUnderNamingConvention: { code: 'IST0118', level: 'Info' },
  InvalidAnnotation: { code: 'IST0125', level: 'Warning' },
  NoMatchingWorkloadsFound: { code: 'IST0127', level: 'Warning' },
  NoServerCertificateVerificationDestinationLevel: { code: 'IST0128', level: 'Warning' },
  NoServerCertificateVerificationPortLevel: { code: 'IST0129', level: 'Warning' },
  VirtualServiceUnreachableRule: { code: 'IST0130', level: 'Warning' },
  VirtualServiceIneffectiveMatch: { code: 'IST0131', level: 'Info' },
  VirtualServiceHostNotFoundInGateway: { code: 'IST0132', level: 'Warning' },
  SchemaWarning: { code: 'IST0133', level: 'Warning' },
  ServiceEntryAddressesRequired: { code: 'IST0134', level: 'Warning' },
  DeprecatedAnnotation: { code: 'IST0135', level: 'Info' },
  GatewayDuplicateCertificate: { code: 'IST0138', level: 'Warning' },
  InsufficientPermissions: { code: 'IST0141', level: 'Error' },
  ConflictingGateways: { code: 'IST0145', level: 'Error' },
  JwtClaimBasedRoutingWithoutRequestAuthN: { code: 'IST0149', level: 'Error' },
  ExternalNameServiceTypeInvalidPortName: { code: 'IST0150', level: 'Warning' },
  EnvoyFilterUsesRelativeOperation: { code: 'IST0151', level: 'Warning' },
  EnvoyFilterUsesReplaceOperationIncorrectly: { code: 'IST0152', level: 'Error' },
  EnvoyFilterUsesAddOperationIncorrectly: { code: 'IST0153', level: 'Error' },
  EnvoyFilterUsesRemoveOperationIncorrectly: { code: 'IST0154', level: 'Error' },
  ConflictingTelemetryWorkloadSelectors: { code: 'IST0159', level: 'Error' },
  MultipleTelemetriesWithoutWorkloadSelectors: { code: 'IST0160', level: 'Error' },
  GatewayPortNotDefinedOnService: { code: 'IST0162', level: 'Warning' },
  IneffectivePolicy: { code: 'IST0167', level: 'Warning' },
  NegativeConditionStatus: { code: 'IST0171', level: 'Warning' },
  DestinationRuleSubsetNotSelectPods: { code: 'IST0173', level: 'Error' },
  UnknownDestinationRuleHost: { code: 'IST0174', level: 'Warning' },
  JwksUriFetchUnrestricted: { code: 'IST0175', level: 'Warning' },
  ConflictingServiceEntryProtocol: { code: 'IST0177', level: 'Warning' },
  /** Of ours: Istio has no such message. */
  WaypointMayBePassedBy: { code: 'AQF0001', level: 'Info' },
} as const satisfies Readonly<Record<string, Sort>>;

export type SortName = keyof typeof sorts;

export const levels: readonly MessageLevel[] = ['Info', 'Warning', 'Error'];
