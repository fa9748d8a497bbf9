package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func guarded(t *testing.T) config {
	t.Helper()
	t.Setenv("GOFLAGS", "-mod=mod")
	return config{dir: "testdata", only: regexp.MustCompile(""), jobs: runtime.NumCPU(), every: 1, patience: time.Hour, longest: time.Hour}
}

// What its tests leave out is all that survives.
func TestSurvivors(t *testing.T) {
	c := guarded(t)
	work := t.TempDir()
	mutants, packages, err := prepare(c.dir, work, []string{"./guarded"})
	if err != nil {
		t.Fatal(err)
	}
	suites, err := build(c, work, packages)
	if err != nil {
		t.Fatal(err)
	}
	tried, survivors := try(c, mutants, suites)
	if len(tried) != len(mutants) {
		t.Errorf("%d tried of %d", len(tried), len(mutants))
	}
	var got []string
	for _, m := range survivors {
		got = append(got, m.Key())
	}
	slices.Sort(got)
	want := []string{
		`guarded/guarded.go Door.Open: dropped from ||: key == ""`,
		`guarded/guarded.go Unused: boundary: n < 3`,
		`guarded/guarded.go Unused: negated: n < 3`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("survived:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	known := map[string]string{want[0]: "reason", want[1]: "reason"}
	var out strings.Builder
	if report(&out, tried, survivors, known, true) || !strings.Contains(out.String(), "unknown survivor: "+want[2]) {
		t.Errorf("an unknown survivor passes: %s", out.String())
	}
	known[want[2]] = "reason"
	if !report(&out, tried, survivors, known, true) {
		t.Errorf("known survivors do not pass: %s", out.String())
	}
	known["gone"] = "reason"
	if report(&out, tried, survivors, known, true) {
		t.Error("a survivor that is none passes")
	}
	if !report(&out, tried[:1], nil, known, false) {
		t.Error("a part of the changes says nothing of those that were not tried")
	}
}

// A run that leaves out the listed changes says nothing about them, and still fails for
// the others.
func TestUnlisted(t *testing.T) {
	c := guarded(t)
	c.unlisted = true
	c.known = filepath.Join(t.TempDir(), "known")
	listed := "# Nobody calls it.\nguarded/guarded.go Unused: boundary: n < 3\nguarded/guarded.go Unused: negated: n < 3\ngone: it was killed\n"
	for _, of := range []struct {
		listed string
		ok     bool
	}{{listed, false}, {listed + "guarded/guarded.go Door.Open: dropped from ||: key == \"\"\n", true}} {
		if err := os.WriteFile(c.known, []byte(of.listed), 0o600); err != nil {
			t.Fatal(err)
		}
		if ok, err := run(c, []string{"./guarded"}); ok != of.ok || err != nil {
			t.Errorf("got %v, %v, want %v, for\n%s", ok, err, of.ok, of.listed)
		}
	}
}

func TestWhatFailsUnchangedSaysNothing(t *testing.T) {
	c := guarded(t)
	c.dir = t.TempDir()
	for name, text := range map[string]string{
		"go.mod":         "module example.com/broken\n\ngo 1.26.0\n",
		"broken.go":      "package broken\n\nfunc F(b bool) bool { return b }\n",
		"broken_test.go": "package broken\n\nimport \"testing\"\n\nfunc TestF(t *testing.T) { t.Fatal(F(true)) }\n",
	} {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.known = filepath.Join(c.dir, "none")
	if ok, err := run(c, []string{"."}); ok || err != nil {
		t.Errorf("got %v, %v", ok, err)
	}
	if _, err := run(c, []string{"./nowhere"}); err == nil {
		t.Error("no package is no error")
	}
}

func TestKnownSurvivorsNeedReasons(t *testing.T) {
	file := filepath.Join(t.TempDir(), "known")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# One reason\n# of two lines.\na: b\nc: d\n\n# Another.\ne: f\n")
	known, err := readKnown(file)
	if err != nil || len(known) != 3 || known["c: d"] != "One reason of two lines." || known["e: f"] != "Another." {
		t.Errorf("got %v, %v", known, err)
	}
	write("# A reason.\n\na: b\n")
	if _, err := readKnown(file); err == nil {
		t.Error("a survivor without a reason passes")
	}
}

func TestLinesOfADiff(t *testing.T) {
	got := linesOf("diff --git a/x.go a/x.go\n--- a/x.go\n+++ a/x.go\n@@ -3 +3 @@ func f() {\n-a\n+b\n@@ -9,2 +9,0 @@\n-c\n-d\n@@ -20,0 +19,2 @@\n+e\n+f\n")
	want := map[string]map[int]bool{"a/x.go": {3: true, 19: true, 20: true}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
