package main

import (
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/auditlog"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// A lab is a directory with keys and a table of people.
type lab struct {
	sh  *shell
	app *application
}

func people(l *lab) { l.app.people(interrupted) }

func sealed(l *lab) {
	people(l)
	l.sh.run("", "migrate", "backfill").exits(well)
}

// stale lets some program write new plaintext beside the sealed values.
func stale(l *lab) {
	sealed(l)
	l.app.exec("UPDATE users SET phone = '(415) 556-' || substr(id, 3)")
}

// onOldKey leaves values on an old key.
func onOldKey(people int, command, role string) func(l *lab) {
	return func(l *lab) {
		l.app.people(people)
		l.sh.run("", "migrate", "backfill").exits(well)
		l.sh.run("", "keys", command, "security").exits(well)
		l.sh.run("", "keys", "promote", "security", l.sh.keyOf("security", role, "published")).exits(well)
		l.sh.setting(`refresh = "100ms"`)
	}
}

// onNewKey leaves an old key that no value needs.
func onNewKey(l *lab) {
	onOldKey(interrupted, "rotate", "seal")(l)
	l.sh.run("", "migrate", "reseal").exits(well)
}

// retiredKey leaves an old key that is retired and may be destroyed.
func retiredKey(l *lab) {
	onNewKey(l)
	l.sh.setting(`destroy_after = "1ms"`)
	l.sh.run("", l.withOldKey([]string{"keys", "retire", "security", oldKey})...).exits(well)
}

// oldKey stands for the id of the key that seals no longer.
const oldKey = "@old"

// withOldKey returns the arguments with the id of that key.
func (l *lab) withOldKey(args []string) []string {
	i := slices.Index(args, oldKey)
	if i < 0 {
		return args
	}
	admin, err := vault.OpenAdmin(l.sh.t.Context(), vault.Dir(filepath.Join(l.sh.dir, "onlyfor-data/keys")), vault.LocalKEK(filepath.Join(l.sh.dir, "onlyfor-data/kek")), nil)
	require.NoError(l.sh.t, err)
	defer admin.Close()
	keys, err := admin.Keys(l.sh.t.Context(), purpose.MustParse("security"))
	require.NoError(l.sh.t, err)
	old := slices.IndexFunc(keys, func(k vault.Key) bool { return k.Role == vault.RoleSeal && k.Status != vault.Primary })
	require.GreaterOrEqual(l.sh.t, old, 0)
	args = slices.Clone(args)
	args[i] = keyName(keys[old].ID)
	return args
}

func suspended(l *lab) {
	sealed(l)
	l.sh.run("", "suspend", "security", "--notice", "2fa-prompt-v3", "--reason", "x").exits(well)
}

// vault opens the vault of a directory in the process of the test.
func (l *lab) vault() (*vault.Vault, *vault.Scope) {
	t := l.sh.t
	dir := filepath.Join(l.sh.dir, "onlyfor-data")
	v, err := vault.Open(t.Context(), vault.Dir(filepath.Join(dir, "keys")), vault.LocalKEK(filepath.Join(dir, "kek")), nil)
	require.NoError(t, err)
	t.Cleanup(func() { v.Close() })
	security, err := v.Scope(t.Context(), purpose.MustParse("security"))
	require.NoError(t, err)
	return v, security
}

// overdue has values whose retention was a second.
func overdue(l *lab) {
	t := l.sh.t
	_, security := l.vault()
	under := security.Under(purpose.Basis{Retain: time.Second})
	var phone pii.Phone
	for i := range interrupted {
		var err error
		phone, err = pii.SealPhone(t.Context(), fmt.Sprintf("+1415555%04d", i), under)
		require.NoError(t, err)
		l.app.exec("INSERT INTO users (id, source, phone_sealed) VALUES (?, '2fa', ?)", fmt.Sprintf("u%05d", i), phone)
	}
	require.Eventually(t, func() bool {
		_, err := phone.Reveal(t.Context(), security)
		return err != nil
	}, time.Minute, 100*time.Millisecond)
}

func id(i int) string { return fmt.Sprintf("u%05d", i) }

// erased has the indexes of people who were erased.
func erased(l *lab) {
	l.sh.write("onlyfor.toml", strings.Replace(l.sh.read("onlyfor.toml"), "\nkey = \"id\"\n", "\nkey = \"id\"\nsubject = \"id\"\n", 1))
	sealed(l)
	l.eraseAll()
}

const forgotten = 40 // people who are erased

func (l *lab) eraseAll() (all []vault.Erasure) {
	v, _ := l.vault()
	for i := range forgotten {
		erasures, err := v.Erase(l.sh.t.Context(), id(i), purpose.MustParse("security"))
		require.NoError(l.sh.t, err)
		all = append(all, erasures...)
	}
	return all
}

// restored has a key store from before the erasures, and their certificates.
func restored(l *lab) {
	t := l.sh.t
	_, security := l.vault()
	for i := range forgotten {
		_, err := pii.SealPhone(t.Context(), number, security.For(id(i)))
		require.NoError(t, err)
	}
	keys, backup := filepath.Join(l.sh.dir, "onlyfor-data/keys"), filepath.Join(t.TempDir(), "backup")
	copyDir(t, keys, backup)
	certificates := filepath.Join(l.sh.dir, "onlyfor-data/certificates")
	require.NoError(t, os.MkdirAll(certificates, 0o700))
	for _, e := range l.eraseAll() {
		text, err := json.Marshal(e)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(certificates, "security-"+e.Subject+".json"), text, 0o600))
	}
	require.NoError(t, os.RemoveAll(keys))
	copyDir(t, backup, keys)
}

const logs = 12 // times that one log is read

// logged has an audit log.
func logged(l *lab) {
	t := l.sh.t
	private, public, err := note.GenerateKey(rand.Reader, "example.com/audit")
	require.NoError(t, err)
	signer, err := note.NewSigner(private)
	require.NoError(t, err)
	log, err := auditlog.Open(t.Context(), filepath.Join(l.sh.dir, "log"), signer, &auditlog.Options{Service: "mailer"})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 40 {
				log.Audit(t.Context(), audit.Event{Time: time.Now(), Action: audit.Reveal, Outcome: audit.Allowed, Purpose: purpose.MustParse("security"), Kind: "email", Count: 1})
			}
		})
	}
	wg.Wait()
	require.NoError(t, log.Close())
	l.sh.write("log.pub", public)
}

// manyLogs names the log many times: one would be read in a moment.
func manyLogs(args ...string) []string {
	flag := args[len(args)-1]
	args = args[:len(args)-1]
	for range logs {
		if flag != "" {
			args = append(args, flag)
		}
		args = append(args, "log")
	}
	for range logs {
		args = append(args, "--key", "log.pub")
	}
	return args
}

// state returns everything that a command may have changed: the rows, with values and their
// headers opened, the keys, and the pins, which stand for the erasures.
func (l *lab) state() (state []string) {
	t := l.sh.t
	db, err := sql.Open("sqlite", "file:"+filepath.Join(l.sh.dir, "app.db"))
	require.NoError(t, err)
	defer db.Close()
	_, security := l.vault()
	rows, err := db.Query(`SELECT id, coalesce(email, ''), coalesce(phone, ''), coalesce(email_sealed, ''), coalesce(phone_sealed, ''),
		hex(coalesce(email_index, '')), hex(coalesce(phone_index, '')), hex(coalesce(ads_index, '')) FROM users ORDER BY id`)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var f [8]string
		require.NoError(t, rows.Scan(&f[0], &f[1], &f[2], &f[3], &f[4], &f[5], &f[6], &f[7]))
		f[3], f[4] = opened(t, f[3], f[0], security), opened(t, f[4], f[0], security)
		state = append(state, strings.Join(f[:], " "))
	}
	require.NoError(t, rows.Err())
	for line := range strings.Lines(l.sh.read("onlyfor-data/pins")) {
		state = append(state, erasuresOf(t, line))
	}
	admin, err := vault.OpenAdmin(t.Context(), vault.Dir(filepath.Join(l.sh.dir, "onlyfor-data/keys")), vault.LocalKEK(filepath.Join(l.sh.dir, "onlyfor-data/kek")), nil)
	require.NoError(t, err)
	defer admin.Close()
	keys, err := admin.Keys(t.Context(), purpose.MustParse("security"))
	require.NoError(t, err)
	for _, k := range keys {
		state = append(state, fmt.Sprint(k.Role, k.ID, k.Status))
	}
	return state
}

// erasuresOf returns the text of a pin without the digest of the key record, which is of a
// random ciphertext, and without its checksum: the vault, the generation, and the erasures.
func erasuresOf(t *testing.T, pin string) string {
	fields := strings.Split(strings.TrimSpace(pin), ".")
	body, err := base64.RawURLEncoding.DecodeString(fields[2])
	require.NoError(t, err)
	return fmt.Sprintf("%s %x %x", fields[1], body[:24], body[40:len(body)-4])
}

// opened returns the header of a value, and its plaintext or why it does not open.
func opened(t *testing.T, text, subject string, security *vault.Scope) (all string) {
	if text == "" {
		return "NULL"
	}
	v, err := vault.ParseSealed(text)
	require.NoError(t, err)
	for _, slot := range describeValue(v, time.Now()).Slots {
		all += fmt.Sprint(slot.Purpose, slot.Type, slot.Key, slot.Legal, slot.Notice, slot.Consent, ";")
		if slot.Type == slotTypes[format.OfSubject] {
			security = security.For(subject)
		}
	}
	plaintext, err := reveal(t.Context(), v, security)
	return fmt.Sprint(all, plaintext, err)
}
