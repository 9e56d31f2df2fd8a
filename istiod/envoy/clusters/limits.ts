/** Limits of clusters that nobody asked to limit: Envoy's own defaults of 1,024 would refuse requests. */
const most = { value: 4_294_967_295 };

export const limitless = {
  thresholds: [
    {
      max_connections: most,
      max_pending_requests: most,
      max_requests: most,
      max_retries: most,
      track_remaining: true,
    },
  ],
};
