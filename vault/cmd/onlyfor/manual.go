package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/term"
)

// manCmd prints a page for man, made of the command line itself.
type manCmd struct{}

func (c *manCmd) Run(_ context.Context, s *session) error {
	writeMan(s.stdout, s.model.Node)
	return nil
}

func writeMan(w io.Writer, root *kong.Node) {
	fmt.Fprintf(w, ".TH ONLYFOR 1\n.SH NAME\nonlyfor \\- operate sealed personal data\n.SH SYNOPSIS\n%s\n.SH DESCRIPTION\n%s\n.SH FLAGS\n", roff(usageOf(root)), roff(root.Help))
	manFields(w, flagsOf(root))
	fmt.Fprintln(w, ".SH COMMANDS")
	for _, leaf := range root.Leaves(true) {
		fmt.Fprintf(w, ".SS %s\n%s\n", roff(usageOf(leaf)), roff(helpOf(leaf)))
		manFields(w, argumentsOf(leaf))
		manFields(w, ownFlagsOf(leaf))
	}
	fmt.Fprintf(w, ".SH FILES\n%s\n", roff("onlyfor.toml is the configuration. onlyfor init writes one with comments."))
}

// ownFlagsOf returns the flags of a command without the flags of the whole program.
func ownFlagsOf(node *kong.Node) (fields []term.Field) {
	for _, f := range node.Flags {
		if !f.Hidden {
			fields = append(fields, term.Field{Name: flagName(f), Text: f.Help})
		}
	}
	return fields
}

func manFields(w io.Writer, fields []term.Field) {
	for _, f := range fields {
		fmt.Fprintf(w, ".TP\n%s\n%s\n", roff(f.Name), roff(f.Text))
	}
}

// roff escapes text, so that no character in it is a request.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n\n", "\n.PP\n").Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if line != ".PP" && (strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'")) {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

// completionCmd prints the completion of a shell.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (c *completionCmd) Help() string {
	return "bash: source <(onlyfor completion bash). zsh: source <(onlyfor completion zsh). fish: onlyfor completion fish | source."
}

func (c *completionCmd) Run(_ context.Context, s *session) error {
	if c.Shell == "fish" {
		writeFish(s.stdout, s.model.Node)
		return nil
	}
	if c.Shell == "zsh" {
		fmt.Fprintln(s.stdout, "autoload -U +X bashcompinit && bashcompinit")
	}
	writeBash(s.stdout, s.model.Node)
	return nil
}

// commandPaths calls do with the words of each command after the program's name, and the
// words that can follow: commands first, then flags.
func commandPaths(node *kong.Node, do func(path string, next []string)) {
	path := strings.TrimPrefix(strings.TrimPrefix(node.FullPath(), "onlyfor"), " ")
	var next []string
	for _, child := range node.Children {
		next = append(next, child.Name)
	}
	for _, arg := range node.Positional {
		next = append(next, slices.DeleteFunc(arg.EnumSlice(), func(s string) bool { return s == "" })...)
	}
	for _, group := range node.AllFlags(true) {
		for _, f := range group {
			next = append(next, "--"+f.Name)
		}
	}
	do(path, next)
	for _, child := range node.Children {
		commandPaths(child, do)
	}
}

// writeBash writes a function that looks the words before the cursor up in a table. Words
// that are no commands, such as flags and their values, do not count.
func writeBash(w io.Writer, root *kong.Node) {
	fmt.Fprint(w, `_onlyfor() {
	local path= word next
	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		case "${path:+$path }$word" in
`)
	var paths []string
	commandPaths(root, func(path string, _ []string) {
		if path != "" {
			paths = append(paths, `"`+path+`"`)
		}
	})
	fmt.Fprintf(w, "\t\t%s) path=\"${path:+$path }$word\" ;;\n\t\tesac\n\tdone\n\tcase \"$path\" in\n", strings.Join(paths, "|"))
	commandPaths(root, func(path string, next []string) {
		fmt.Fprintf(w, "\t%q) next=%q ;;\n", path, strings.Join(next, " "))
	})
	fmt.Fprint(w, "\tesac\n\tCOMPREPLY=($(compgen -W \"$next\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\ncomplete -o default -F _onlyfor onlyfor\n")
}

func writeFish(w io.Writer, root *kong.Node) {
	var visit func(*kong.Node, string)
	visit = func(node *kong.Node, seen string) {
		for _, child := range node.Children {
			condition := "__fish_use_subcommand"
			if seen != "" {
				condition = "__fish_seen_subcommand_from " + seen
			}
			fmt.Fprintf(w, "complete -c onlyfor -f -n '%s' -a %s -d %s\n", condition, child.Name, fishQuote(child.Help))
			visit(child, child.Name)
		}
		for _, f := range node.Flags {
			if f.Hidden {
				continue
			}
			condition := ""
			if seen != "" {
				condition = " -n '__fish_seen_subcommand_from " + seen + "'"
			}
			fmt.Fprintf(w, "complete -c onlyfor%s -l %s -d %s\n", condition, f.Name, fishQuote(f.Help))
		}
	}
	visit(root, "")
}

func fishQuote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}
