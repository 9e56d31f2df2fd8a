/** ConfigMap in istiod's namespace by which a new root is asked for (`rotate`, taken back by `abort`), and followed (`status.*`). */
export const rotationMap = 'istio-ca-root-rotation';
