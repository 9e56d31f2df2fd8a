/** Objects in YAML that many tests of waypoints start from. Only for tests. */

export interface WaypointYaml {
  /** Default `waypoint`. */
  readonly name?: string;
  /** The inside of a flow mapping. */
  readonly labels?: string;
  /** The inside of a flow mapping. */
  readonly annotations?: string;
}

/** The Gateway of a waypoint in namespace shop, with its address. */
export function waypointYaml({ name = 'waypoint', labels = '', annotations = '' }: WaypointYaml = {}): string {
  return `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: ${name}, namespace: shop, labels: {${labels}}, annotations: {${annotations}}}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
status: {addresses: [{type: Hostname, value: ${name}.shop.svc.cluster.local}]}
`;
}

export interface PodYaml {
  readonly name: string;
  readonly ip: string;
  /** Its service account, too. Default: the pod's name. */
  readonly app?: string;
  /** Label `version`. Default none. */
  readonly version?: string;
  /** Default `shop`. */
  readonly namespace?: string;
  /** Default `node-1`. */
  readonly node?: string;
  /** Whether it takes HBONE. Default false. */
  readonly captured?: boolean;
  /** Default true. */
  readonly ready?: boolean;
}

/** A pod that runs. */
export function podYaml(pod: PodYaml): string {
  const { name, ip, app = name, version, namespace = 'shop', node = 'node-1', captured = false, ready = true } = pod;
  const labels = version === undefined ? `app: ${app}` : `app: ${app}, version: ${version}`;
  const annotations = captured ? 'ambient.istio.io/redirection: enabled' : '';
  return `
kind: Pod
metadata: {name: ${name}, namespace: ${namespace}, labels: {${labels}}, annotations: {${annotations}}}
spec: {nodeName: ${node}, serviceAccountName: ${app}}
status: {phase: Running, podIP: "${ip}", conditions: [{type: Ready, status: "${ready ? 'True' : 'False'}"}]}
`;
}
