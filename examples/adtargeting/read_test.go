package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// Three users, of whom one consented; a list with her, another and a stranger.
const (
	threeCSV = "\uFEFFPhone, Email ,name,ADS_CONSENT\r\n" +
		"+44 7700 900111,Zora.Quist@example.com,Zora,\r\n" +
		"\r\n" +
		"\"+1 (212) 555-0111\",\"yan.quist@bücher.example\",\"Quist, Yan\",opt-in-1\r\n" +
		"+33 1 99 00 11 11,xu.quist@example.net,Xu,"
	threeJSON = `{"email":"Zora.Quist@example.com","phone":"+44 7700 900111","age":40}` + "\n\n" +
		`{"ads_consent":"opt-in-1","email":"yan.quist@bücher.example","phone":"+1 (212) 555-0111"}` + "\n" +
		`{"email":"xu.quist@example.net","phone":"+33 1 99 00 11 11","ads_consent":""}`
	listCSV   = "email,phone\nZORA.QUIST@example.com,\n,+12125550111\nw@example.org,+44 7700 900222\n"
	listJSON3 = `{"email":"zora.quist@EXAMPLE.com"}` + "\n" + `{"email":"yan.quist@xn--bcher-kva.example"}` + "\n" + `{"phone":"+447700900222"}` + "\n"
)

func TestOwnFiles(t *testing.T) {
	for users, usersFile := range map[string]string{"CSV": threeCSV, "JSON": threeJSON} {
		for list, listFile := range map[string]string{"CSV": listCSV, "JSON": listJSON3} {
			t.Run(users+" and "+list, func(t *testing.T) {
				code, stdout, stderr := play(t, "-users", write(t, usersFile), "-list", write(t, listFile))
				require.Equal(t, exitHeld, code, "%s\n%s", stdout, stderr)
				require.Contains(t, stdout, "Signed up 3 people")
				require.Contains(t, stdout, "1 of 1")
				require.Contains(t, stdout, "Of the 2 users on the list, the ad team reaches the 1 who consented and none of the other 1.")
				require.Empty(t, stderr)
			})
		}
	}
}

func TestNobodyToProtect(t *testing.T) {
	users := write(t, "email,phone,ads_consent\na@example.com,+447700900111,opt-in-1\n")
	list := write(t, "email,phone\nb@example.com,+447700900222\n")
	code, stdout, stderr := play(t, "-users", users, "-list", list)
	require.Equal(t, exitHeld, code, "%s\n%s", stdout, stderr)
	require.Contains(t, stdout, "nothing to try")
	require.Contains(t, stdout, "Of the 0 users on the list")
}

func TestRefusedFiles(t *testing.T) {
	const secret = "hunter2@secret.example"
	dir := t.TempDir()
	huge := filepath.Join(dir, "huge")
	require.NoError(t, os.WriteFile(huge, []byte("email,phone\n"+secret), 0o600))
	require.NoError(t, os.Truncate(huge, 1<<30)) // one line of 1 GB
	for _, test := range []struct{ name, file, want string }{
		{"missing", filepath.Join(dir, "none"), "no such file"},
		{"directory", dir, "not a regular file"},
		{"endless device", "/dev/zero", "not a regular file"},
		{"empty", write(t, ""), "empty"},
		{"blank lines only", write(t, "\n \n\r\n"), "empty"},
		{"header only", write(t, "email,phone\n"), "nobody to sign up"},
		{"wrong header", write(t, secret+",b\n"), "line 1: want a CSV header"},
		{"no header", write(t, "\n"+secret+",+447700900111\n"), "line 2: want a CSV header"},
		{"a column twice", write(t, "email,phone,email\na,b,c\n"), "line 1: want a CSV header"},
		{"unclosed quote in the header", write(t, "\"email,phone\n"), "line 1: want a CSV header"},
		{"binary", write(t, "\x7fELF\x00\x01\xff"+secret), "line 1: want a CSV header"},
		{"an array", write(t, "[{\"email\":\""+secret+"\"}]"), "line 1: want a CSV header"},
		{"long header", write(t, strings.Repeat("email,", 20_000)), "line 1: longer than 64 KiB"},
		{"long line", write(t, "email,phone\n"+secret+strings.Repeat("x", 70_000)), "line 2: longer than 64 KiB"},
		{"a line of 1 GB", huge, "line 2: longer than 64 KiB"},
		{"nobody valid", write(t, "email,phone\n"+secret+",none\n"), "nobody to sign up"},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := play(t, "-users", test.file)
			require.Equal(t, exitTrouble, code, "%s\n%s", stdout, stderr)
			require.Contains(t, stderr, test.want)
			require.NotContains(t, stdout+stderr, "hunter2")
			require.NotContains(t, stdout, "VERDICT")
			if test.name == "nobody valid" {
				return // one of the two is enough on a list
			}
			code, stdout, stderr = play(t, "-list", test.file)
			require.Equal(t, exitTrouble, code, "%s\n%s", stdout, stderr)
			require.Contains(t, stderr, "list: ")
			require.NotContains(t, stdout+stderr, "hunter2")
		})
	}
}

func TestBadLines(t *testing.T) {
	users := write(t, "email,phone,ads_consent\n"+
		"hunter2@example.com,+447700900111,\n"+
		"hunter3@example.com;+447700900111;\n"+ // 3: fields
		"\"hunter4@example.com,+447700900111,\n"+ // 4: quote
		"hunter5@example.com\x00,+447700900111,\n"+ // 5: NUL
		"hunter6@example.com,+447700900111,\xff\n"+ // 6: not UTF-8
		"hunter7@example.com,07700 900111,\n"+ // 7
		"hunter8 at example.com,+447700900111,\n"+ // 8
		"HUNTER2@example.com,+447700900111,\n"+ // 9: again
		"hunter10@example.com,+447700900111,hunter10@example.com\n"+ // 10: consent
		strings.Repeat("hunter\n", 100))
	code, stdout, stderr := play(t, "-users", users, "-list", write(t, `{"email":"hunter2@example.com"}`+"\n{\n"+`{"email":17}`))
	require.Equal(t, exitHeld, code, "%s\n%s", stdout, stderr)
	require.Contains(t, stdout, "Signed up 1 people")
	require.Contains(t, stdout, "108 lines left out")
	for _, want := range []string{
		"users: line 3: not as many fields as the header",
		"users: line 4: not CSV",
		"users: line 5: not text",
		"users: line 6: not text",
		"users: line 7: not an international phone number",
		"users: line 8: not an e-mail address",
		"users: line 10: not a consent reference",
		"users: further lines that are left out are counted only",
		"list: line 2: not a JSON object with texts",
		"list: line 3: not a JSON object with texts",
	} {
		require.Contains(t, stderr, want)
	}
	require.NotContains(t, strings.ToLower(stdout+stderr), "hunter")
	require.Less(t, strings.Count(stderr, "\n"), 30)
}

// Lines are sealed by many goroutines and stored by the page, and yet reported
// in their order: whichever the step that found fault.
func TestBadLinesInOrder(t *testing.T) {
	var users strings.Builder
	users.WriteString("email,phone,ads_consent\n")
	var want []string
	for line := 2; line < 1000; line++ {
		row := fmt.Sprintf("hunter%d@example.com,+44 7700 9%05d,opt-in-%d", line, line, line)
		if line%77 == 0 {
			fault := faults[len(want)%len(faults)]
			row = fault.row
			want = append(want, fmt.Sprintf("users: line %d: %s; left out", line, fault.what))
		}
		users.WriteString(row + "\n")
	}
	code, stdout, stderr := play(t, "-users", write(t, users.String()), "-list", write(t, "email,phone\nhunter3@example.com,\n"))
	require.Equal(t, exitHeld, code, "%s\n%s", stdout, stderr)
	require.Contains(t, stdout, fmt.Sprintf("Signed up %d people", 998-len(want)))
	require.Contains(t, stdout, fmt.Sprintf("%d lines left out", len(want)))
	require.Equal(t, want, strings.Split(strings.TrimSpace(stderr), "\n"))

	t.Run("and before what ends the reading", func(t *testing.T) {
		users.WriteString(strings.Repeat("x", maxLine+1))
		code, _, stderr := play(t, "-users", write(t, users.String()), "-list", write(t, "email,phone\nhunter3@example.com,\n"))
		require.Equal(t, exitTrouble, code)
		require.Equal(t, append(want, "adtargeting: company: sign up: seal and index: users: line 1000: longer than 64 KiB"),
			strings.Split(strings.TrimSpace(stderr), "\n"))
	})
}

var faults = []struct{ row, what string }{
	{"HUNTER2@example.com,+44 7700 900002,", "e-mail address is registered already"},
	{"hunter@example.com", "not as many fields as the header"},
	{"hunter at example.com,+44 7700 900000,", "not an e-mail address"},
	{"hunter@example.com,07700 900000,", "not an international phone number"},
	{"hunter@example.com,+44 7700 900000,-", "not a consent reference"},
}

func TestFlags(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-n", "-1"}, "-n is from 1"},
		{[]string{"-n", fmt.Sprint(math.MaxInt)}, "-n is from 1"},
		{[]string{"-n", "many"}, "bad flags"},
		{[]string{"-n", "5", "-users", "x"}, "exclude each other"},
		{[]string{"-tries", "0"}, "-tries is 1 or more"},
		{[]string{"people.csv"}, "-users and -list"},
		{[]string{"-nonsense"}, "bad flags"},
		{[]string{"-keep", filepath.Join(t.TempDir(), "a", "b")}, "-keep: "},
		{[]string{adsProcessFlag}, "ads process: bad flags"},
		{[]string{adsProcessFlag, "-state", t.TempDir()}, "no usable keys"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			code, stdout, stderr := play(t, test.args...)
			require.Equal(t, exitTrouble, code)
			require.Contains(t, stderr, test.want)
			require.NotContains(t, stdout, "VERDICT")
		})
	}
	code, _, stderr := play(t, "-h")
	require.Equal(t, exitHeld, code)
	require.Contains(t, stderr, "usage: adtargeting")
	require.NotContains(t, stderr, adsProcessFlag)
}

// Whatever the bytes, reading ends, counts lines in order and quotes nothing.
func FuzzReadPeople(f *testing.F) {
	f.Add(threeCSV)
	f.Add(threeJSON)
	f.Add("email,phone\n\"a\"b\",c\n\x00\n")
	f.Add("{\n{}\n[]\n")
	f.Fuzz(func(t *testing.T, content string) {
		last := 0
		for p, err := range readPeople("f", strings.NewReader(content)) {
			line := p.line
			var bad lineError
			if errors.As(err, &bad) {
				line = bad.line
			}
			if err == nil || line > 0 {
				require.GreaterOrEqual(t, line, last)
				last = line
			}
			if err != nil {
				require.Less(t, len(err.Error()), 150)
			}
		}
	})
}
