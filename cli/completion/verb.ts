import type { Verb, Verbs } from '../grammar.ts';

const shell = (name: string, notes: string): Verb => ({
  summary: `the script for ${name}`,
  notes,
  load: async () => {
    const { printScript } = await import('./run.ts');
    return { run: (args) => printScript(name, args) };
  },
});

const verbs: Verbs = {
  bash: shell('bash', 'In ~/.bashrc: source <(aquifer completion bash)'),
  fish: shell('fish', 'aquifer completion fish > ~/.config/fish/completions/aquifer.fish'),
  powershell: shell('powershell', 'In $PROFILE: aquifer completion powershell | Out-String | Invoke-Expression'),
  zsh: shell('zsh', 'In ~/.zshrc, after compinit: source <(aquifer completion zsh)'),
};

export const verb: Verb = {
  summary: 'scripts that complete commands, options, and names of namespaces, pods and nodes',
  verbs,
};
