/** What both directions of Kubernetes' protobuf agree on. */

export const protobufType = 'application/vnd.kubernetes.protobuf';

/** Before the envelope of every object. */
export const magic: Buffer = Buffer.from('k8s\0');

export const wireTypes = { varint: 0, fixed64: 1, delimited: 2, fixed32: 5 } as const;
