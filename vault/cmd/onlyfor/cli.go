package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/config"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/term"
)

// Exit codes.
const (
	well     = iota // all is well
	found           // a finding, or a refusal
	hindered        // the command line is wrong, or the environment is in the way
)

// cli is the command line. Help, completion and the man page are made of it.
type cli struct {
	Config  string           `short:"c" placeholder:"FILE" env:"ONLYFOR_CONFIG" default:"onlyfor.toml" help:"The configuration file, or $ONLYFOR_CONFIG."`
	JSON    bool             `name:"json" help:"Write JSON."`
	Caller  string           `placeholder:"NAME" env:"ONLYFOR_CALLER" help:"Who asks, for the audit log, or $ONLYFOR_CALLER. Default: user and host."`
	Version kong.VersionFlag `help:"Print the version and exit."`

	Init        initCmd        `cmd:"" help:"Write a configuration file, and make the first keys."`
	Seal        sealCmd        `cmd:"" help:"Seal one value from standard input."`
	Reveal      revealCmd      `cmd:"" help:"Reveal one value, for a reason that is recorded."`
	Inspect     inspectCmd     `cmd:"" help:"Read a sealed value without keys."`
	Keys        keysCmd        `cmd:"" help:"List, rotate, retire and destroy keys."`
	Suspend     suspendCmd     `cmd:"" help:"Stop the use of a purpose, or of one notice, in all processes."`
	Resume      resumeCmd      `cmd:"" help:"End a suspension."`
	Suspensions suspensionsCmd `cmd:"" help:"List suspensions."`
	Doctor      doctorCmd      `cmd:"" help:"Check keys, grants, files, tables, clocks and the backup."`
	Migrate     migrateCmd     `cmd:"" help:"Move tables to sealed values, and to new keys."`
	Erase       eraseCmd       `cmd:"" help:"Destroy the keys of one person, and with them every copy of the person's values."`
	Approve     approveCmd     `cmd:"" help:"Approve an operation that can't be undone, as a second person."`
	Withdraw    withdrawCmd    `cmd:"" help:"Take a purpose from the values of one row."`
	Restore     restoreCmd     `cmd:"" help:"Take a restored key store into use."`
	Report      reportCmd      `cmd:"" help:"Say who is affected by a notice, what values were used for, and what the record of processing has."`
	Audit       auditCmd       `cmd:"" help:"Verify and read audit logs, and compare them with the log of the key service."`
	Policy      policyCmd      `cmd:"" help:"Print the policy of a role for the key service, or its grants on the key store."`
	Man         manCmd         `cmd:"" help:"Print the manual page."`
	Completion  completionCmd  `cmd:"" help:"Print the completion of a shell."`
}

const description = `Operates the keys and tables of onlyfor: personal data that opens only for the purpose it was collected for.

Exit codes: 0 all is well, 1 a finding or a refusal, 2 a mistake in the command line or its environment.`

// A session is the state of one call of the command.
type session struct {
	cli            *cli
	model          *kong.Application
	in             io.Reader
	stdout, stderr io.Writer
	found          bool // there is a finding beside the result of the command
}

// An exit ends the command without a further word.
type exit struct{ code int }

func (exit) Error() string { return "exit" }

// run runs the command line args and returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, stdout, stderr io.Writer) int {
	c := new(cli)
	code := -1
	parser, err := kong.New(c, kong.Name("onlyfor"), kong.Description(description),
		kong.Vars{"version": version()},
		kong.Writers(stdout, stderr),
		kong.Exit(func(n int) { code = n; panic(exit{n}) }),
		kong.Help(printHelp),
	)
	if err != nil {
		panic(err) // the grammar above is wrong
	}
	s := &session{cli: c, model: parser.Model, in: in, stdout: stdout, stderr: stderr}
	parsed, err := parse(parser, args)
	if code >= 0 {
		return code // help or version was printed
	}
	if err != nil {
		return s.fail(ctx, &problem{code: hindered, text: discreet(parser.Model.Node, args, err), hint: "onlyfor --help shows the commands."})
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	if err := parsed.Run(s); err != nil {
		return s.fail(ctx, err)
	}
	if s.found {
		return found
	}
	return well
}

// parse calls the parser, which prints help and versions itself and then exits.
func parse(parser *kong.Kong, args []string) (parsed *kong.Context, err error) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(exit); !ok {
				panic(r)
			}
		}
	}()
	return parser.Parse(args)
}

// discreet returns the text of an error of the parser without the words of the command
// line that are no names of commands and flags: one of them may be a value that belongs to
// standard input.
func discreet(root *kong.Node, args []string, err error) string {
	known := map[string]bool{"-": true, "--": true}
	var visit func(*kong.Node)
	visit = func(n *kong.Node) {
		known[n.Name] = true
		for _, f := range n.Flags {
			known["--"+f.Name] = true
		}
		for _, child := range n.Children {
			visit(child)
		}
	}
	visit(root)
	text := err.Error()
	for _, arg := range args {
		for part := range strings.SplitSeq(arg, "=") {
			if part != "" && !known[part] {
				text = strings.ReplaceAll(text, part, "…")
			}
		}
	}
	return text
}

// caller returns the name for the audit log.
func (s *session) caller() string {
	if s.cli.Caller != "" {
		return s.cli.Caller
	}
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}

// config reads the configuration.
func (s *session) config() (*config.Config, error) { return config.Load(s.cli.Config) }

// width is the width of standard output.
func (s *session) width() int { return term.Width(s.stdout) }

// print writes v as JSON if that was asked for, and otherwise calls human.
func (s *session) print(v any, human func(w io.Writer, width int)) error {
	if !s.cli.JSON {
		human(s.stdout, s.width())
		return nil
	}
	e := json.NewEncoder(s.stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return &problem{code: hindered, text: "standard output can't be written"}
	}
	return nil
}

// note writes a sentence for people to standard error, and nothing with --json.
func (s *session) note(format string, args ...any) {
	if !s.cli.JSON {
		term.Text(s.stderr, term.Width(s.stderr), fmt.Sprintf(format, args...))
	}
}

// finding writes a finding to standard error that is beside the result of the command,
// whose exit code it changes.
func (s *session) finding(format string, args ...any) {
	s.found = true
	if s.cli.JSON {
		json.NewEncoder(s.stderr).Encode(map[string]any{"finding": fmt.Sprintf(format, args...)})
		return
	}
	term.Text(s.stderr, term.Width(s.stderr), "onlyfor: "+fmt.Sprintf(format, args...))
}

// fail reports err and returns the exit code.
func (s *session) fail(ctx context.Context, err error) int {
	var end exit
	if errors.As(err, &end) {
		return end.code
	}
	p := explain(ctx, err)
	if s.cli.JSON {
		json.NewEncoder(s.stderr).Encode(map[string]any{"error": p.text, "hint": p.hint, "exit": p.code})
		return p.code
	}
	text := "onlyfor: " + p.text
	if p.hint != "" {
		text += "\n" + p.hint
	}
	term.Text(s.stderr, term.Width(s.stderr), text)
	return p.code
}
