// Command adoption adopts onlyfor in PocketBase, a service that others wrote, and runs
// the service's own tests.
//
//	go -C examples run ./adoption                # all of it, in some 5 minutes
//	go -C examples run ./adoption -tests none    # the change and its count alone
//	go -C examples run ./adoption -break look-up # must fail
//
// It downloads one version of the service from the Go module proxy into a temporary
// directory, applies the changes of testdata/pocketbase, seals the service's test data
// with pii/migrate, and runs the tests and piivet. It needs Go and nothing else.
package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

const (
	module  = "github.com/pocketbase/pocketbase"
	version = "v0.36.8"
	onlyfor = "github.com/onlyfor/onlyfor"

	// limit bounds the changed lines of the model and its look-ups.
	limit = 250
)

// change has the patch of the service's files, and in new/ the files that are added.
//
//go:embed testdata/pocketbase
var change embed.FS

// touched are the packages whose files change, and those that use them most.
var touched = []string{".", "./apis", "./cmd/...", "./core/...", "./forms", "./mails", "./plugins/...", "./tools/search"}

// breaks are mistakes of the adoption. With each of them the run must fail.
var breaks = map[string]struct{ file, old, new string }{
	"look-up": {"core/record_query.go", "dbx.In(FieldNameEmailIndex, wanted...)", "dbx.In(FieldNameEmail, wanted...)"},
	"seal":    {"core/record_email.go", "if f.sealsEmail(record) && (action", "if false && (action"},
	"mail":    {"mails/record.go", "otp.SetSentTo(string(text))", "otp.SetSentTo(toAddress + string(text[:0]))"},
	"form":    {"core/record_email.go", "raw = cast.ToString(raw)", "raw, _ = f.PrepareValue(record, raw)"},
	"unique":  {"core/collection_record_table_sync.go", "parsed.Columns[i].Name = FieldNameEmailIndex", ""},
	"sort":    {"tools/search/sort.go", " result.Indexes != nil ||", ""},
}

func main() {
	dir := flag.String("dir", "", "an existing directory to work in; a temporary one by default")
	tests := flag.String("tests", "touched", "the service's own tests to run: touched, all or none")
	broken := flag.String("break", "", "a mistake to make, which must be found: "+strings.Join(slices.Sorted(maps.Keys(breaks)), ", "))
	flag.Parse()
	if err := run(*dir, *tests, *broken); err != nil {
		fmt.Fprintln(os.Stderr, "adoption:", err)
		os.Exit(1)
	}
}

func run(dir, tests, broken string) error {
	here, err := checkout()
	if err != nil {
		return err
	}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "onlyfor-adoption"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, "pocketbase"), 0o755); err != nil { // not over a former run
		return err
	}
	service := filepath.Join(dir, "pocketbase")
	steps := []struct {
		name string
		do   func() error
	}{
		{"download", func() error { return download(dir, service) }},
		{"change", func() error { return apply(service) }},
		{"count", count},
		{"break", func() error { return makeMistake(service, broken) }},
		{"depend", func() error {
			return all(service,
				[]string{"go", "mod", "edit", "-go=1.26.0", "-require=" + onlyfor + "@v0.0.0", "-replace=" + onlyfor + "=" + here},
				[]string{"go", "mod", "tidy"})
		}},
		{"build", func() error { return all(service, []string{"go", "build", "./..."}) }},
		{"migrate", func() error { return all(service, []string{"go", "run", "./cmd/sealemails", "tests/data"}) }},
		{"boundary", func() error {
			return all(service, []string{"go", "test", "-count=1", "-run", "TestBoundary", "./apis"})
		}},
		{"tests", func() error {
			switch tests {
			case "none":
				return nil
			case "all":
				return all(service, []string{"go", "test", "./..."})
			default:
				return all(service, append([]string{"go", "test"}, touched...))
			}
		}},
		{"piivet", func() error {
			tool := filepath.Join(dir, "piivet")
			return all(service,
				[]string{"go", "-C", filepath.Join(here, "pii", "piivet"), "build", "-o", tool, "./cmd/piivet"},
				[]string{tool, "./..."})
		}},
	}
	for _, step := range steps {
		start := time.Now()
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Printf("== %s: %s\n", step.name, time.Since(start).Round(time.Second))
	}
	return nil
}

// checkout returns the directory of the onlyfor module that this program belongs to.
func checkout() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", onlyfor).Output()
	if err != nil {
		return "", fmt.Errorf("finding the module onlyfor: %w; run it with go -C examples run ./adoption", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// all runs commands one after the other, and shows the output.
func all(dir string, commands ...[]string) error {
	for _, args := range commands {
		fmt.Println("$", strings.Join(args, " "))
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, os.Stdout, os.Stderr
		cmd.Env = append(os.Environ(), "GOWORK=off")
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
	}
	return nil
}

// download copies the module from the module cache, where nobody may write.
func download(dir, service string) error {
	cmd := exec.Command("go", "mod", "download", "-json", module+"@"+version)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.Output()
	var got struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &got); jsonErr != nil || got.Error != "" || err != nil {
		return errors.Join(err, jsonErr, errors.New(got.Error))
	}
	return filepath.WalkDir(got.Dir, func(from string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(got.Dir, from)
		if err != nil {
			return err
		}
		to := filepath.Join(service, name)
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		content, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		return os.WriteFile(to, content, 0o644)
	})
}

// apply changes the service's files, and adds the new ones.
func apply(service string) error {
	patch, err := change.ReadFile("testdata/pocketbase/patch")
	if err != nil {
		return err
	}
	files, err := parsePatch(patch)
	if err != nil {
		return err
	}
	for _, f := range files {
		name := filepath.Join(service, filepath.FromSlash(f.name))
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		changed, err := f.apply(content)
		if err != nil {
			return err
		}
		if err := os.WriteFile(name, changed, 0o644); err != nil {
			return err
		}
	}
	return added(func(name string, content []byte) error {
		to := filepath.Join(service, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.WriteFile(to, content, 0o644)
	})
}

// added calls do for each file that the service gets.
func added(do func(name string, content []byte) error) error {
	const root = "testdata/pocketbase/new"
	return fs.WalkDir(change, root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := change.ReadFile(name)
		if err != nil {
			return err
		}
		return do(strings.TrimPrefix(name, root+"/"), content)
	})
}

// makeMistake breaks the adopted service on purpose.
func makeMistake(service, name string) error {
	if name == "" {
		return nil
	}
	b, ok := breaks[name]
	if !ok {
		return fmt.Errorf("no mistake is called %q", name)
	}
	file := filepath.Join(service, filepath.FromSlash(b.file))
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if bytes.Count(content, []byte(b.old)) != 1 {
		return fmt.Errorf("%s: %q must be there once", b.file, b.old)
	}
	return os.WriteFile(file, bytes.Replace(content, []byte(b.old), []byte(b.new), 1), 0o644)
}

// parts names the part of the change that a file belongs to. The first match counts.
var parts = []struct{ part, prefix string }{
	{"tests of the boundary", "apis/boundary_test.go"},
	{"migration", "cmd/sealemails/"},
	{"test data and keys", "tests/"},
	{"model", "core/record_email.go"},
	{"model", "core/field_email.go"},
	{"model", "core/record_model"},
	{"model", "core/collection_"},
	{"keys at the start", "core/security.go"},
	{"keys at the start", "core/base.go"},
	{"keys at the start", "core/app.go"},
	{"look-ups", "core/record_query.go"},
	{"look-ups", "apis/"},
	{"look-ups", "forms/record_upsert.go"},
	{"filters and sorting", "core/record_field_resolver"},
	{"filters and sorting", "tools/search/"},
	{"mails and commands", "mails/"},
	{"mails and commands", "forms/"},
	{"mails and commands", "cmd/"},
}

func partOf(name string) string {
	for _, p := range parts {
		if strings.HasPrefix(name, p.prefix) {
			if strings.HasSuffix(name, "_test.go") && p.part != "tests of the boundary" {
				break
			}
			return p.part
		}
	}
	if strings.HasSuffix(name, "_test.go") {
		return "the service's own tests"
	}
	return path.Dir(name)
}

// code returns the number of lines that are neither blank nor a comment alone.
func code(lines []string) (n int) {
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
			n++
		}
	}
	return n
}

// count prints the changed lines of code of each part. It fails if the model and its
// look-ups reach the limit.
func count() error {
	type lines struct{ files, added, removed int }
	sum := map[string]*lines{}
	add := func(name string, added, removed int) {
		part := partOf(name)
		if sum[part] == nil {
			sum[part] = new(lines)
		}
		sum[part].files++
		sum[part].added += added
		sum[part].removed += removed
	}
	patch, err := change.ReadFile("testdata/pocketbase/patch")
	if err != nil {
		return err
	}
	files, err := parsePatch(patch)
	if err != nil {
		return err
	}
	for _, f := range files {
		added, removed := 0, 0
		for _, h := range f.hunks {
			added, removed = added+code(h.new), removed+code(h.old)
		}
		add(f.name, added, removed)
	}
	err = added(func(name string, content []byte) error {
		add(name, code(strings.Split(string(content), "\n")), 0)
		return nil
	})
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "part\tfiles\tadded\tremoved\t")
	for _, p := range slices.Sorted(maps.Keys(sum)) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t\n", p, sum[p].files, sum[p].added, sum[p].removed)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	changed := 0
	for _, p := range []string{"model", "look-ups"} {
		if sum[p] == nil {
			return fmt.Errorf("the change has no %s", p)
		}
		changed += sum[p].added + sum[p].removed
	}
	fmt.Printf("model and look-ups: %d changed lines\n", changed)
	if changed >= limit {
		return fmt.Errorf("model and look-ups have %d changed lines, which must be fewer than %d", changed, limit)
	}
	return nil
}
