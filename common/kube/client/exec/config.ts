/** What a plugin for credentials finds in its environment: ours, which holds what it signs in with, and what the kubeconfig adds. */
export function pluginEnvironment(added: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { ...process.env, ...added };
}
