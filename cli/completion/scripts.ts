/** A script for each shell: each asks `aquifer __complete` what may come. Its first line says who goes on: `words`, or `file`, `directory`. */

export const shells = ['bash', 'zsh', 'fish', 'powershell'] as const;
export type Shell = (typeof shells)[number];

export const scripts: Readonly<Record<Shell, string>> = {
  bash: `# aquifer in bash: source <(aquifer completion bash)
_aquifer() {
  local answer first
  mapfile -t answer < <(aquifer __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  first=\${answer[0]}
  case $first in
    file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}") ;;
    directory) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "\${COMP_WORDS[COMP_CWORD]}") ;;
    *) COMPREPLY=("\${answer[@]:1}"); COMPREPLY=("\${COMPREPLY[@]%%$'\\t'*}") ;;
  esac
}
complete -F _aquifer aquifer
`,
  zsh: `#compdef aquifer
# aquifer in zsh: source <(aquifer completion zsh)
_aquifer() {
  local -a answer shown
  answer=("\${(@f)$(aquifer __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  case $answer[1] in
    file) _files ;;
    directory) _files -/ ;;
    *) shown=("\${(@)answer[2,-1]//:/\\\\:}"); shown=("\${(@)shown//$'\\t'/:}"); _describe aquifer shown ;;
  esac
}
compdef _aquifer aquifer
`,
  fish: `# aquifer in fish: aquifer completion fish | source
function __aquifer_complete
  set -l typed (commandline -opc)[2..-1] (commandline -ct)
  set -l answer (aquifer __complete $typed 2>/dev/null)
  switch "$answer[1]"
    case file
      __fish_complete_path (commandline -ct)
    case directory
      __fish_complete_directories (commandline -ct)
    case '*'
      printf '%s\\n' $answer[2..-1]
  end
end
complete -c aquifer -f -a '(__aquifer_complete)'
`,
  powershell: `# aquifer in PowerShell: aquifer completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName aquifer -ScriptBlock {
  param($word, $line, $at)
  $words = @($line.CommandElements | Select-Object -Skip 1 | ForEach-Object { "$_" })
  if ($word -eq '') { $words += '' }
  $answer = @(& aquifer __complete @words 2>$null)
  if ($answer.Count -gt 1 -and $answer[0] -eq 'words') {
    $answer[1..($answer.Count - 1)] | ForEach-Object {
      $parts = $_ -split [char]9, 2
      $about = if ($parts.Count -gt 1) { $parts[1] } else { $parts[0] }
      [System.Management.Automation.CompletionResult]::new($parts[0], $parts[0], 'ParameterValue', $about)
    }
  }
}
`,
};
