/** gRPC's statuses as HTTP's, as google.rpc.Code names them. */
const statuses: Readonly<Record<string, number>> = {
  0: 200,
  1: 499,
  2: 500,
  3: 400,
  4: 504,
  5: 404,
  6: 409,
  7: 403,
  8: 429,
  9: 400,
  10: 409,
  11: 400,
  12: 501,
  13: 500,
  14: 503,
  15: 500,
  16: 401,
};

/** A status that gRPC has not: 500. */
export function httpStatusOf(grpcStatus: number): number {
  return statuses[grpcStatus] ?? 500;
}
