package reconcile_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/auditlog/reconcile"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// A day is a day of a company: an administrator and two services with logs, and at
// midnight, if rogue is set, a program that keeps none.
type day struct {
	service           *service
	admin, sec, adsvc *process
	rogueAt           time.Time
}

func newDay(t *testing.T, rogue bool) *day {
	d := &day{service: newService(t), admin: newProcess(t, "admin"), sec: newProcess(t, "security"), adsvc: newProcess(t, "ads")}
	ctx, store := t.Context(), vault.Memory()
	as := func(name string, granted ...purpose.Purpose) as {
		return as{d.service, name, purpose.NewSet(granted...)}
	}
	admin := d.admin.vault(t, store, as("key-rotation", security, ads))
	require.NoError(t, admin.Generate(ctx, security, ads))
	secure := d.sec.vault(t, store, as("security-service", security))
	s := vaulttest.Scope(t, secure, security)
	time.Sleep(time.Minute)
	own := d.adsvc.vault(t, store, as("ad-service", ads))
	require.NoError(t, own.CheckDenied(ctx, security))
	a := vaulttest.Scope(t, own, ads)
	for hour := range 24 {
		time.Sleep(time.Hour)
		vaulttest.Seal(t, s)
		vaulttest.Seal(t, a)
		vaulttest.Scope(t, secure, security) // open already
		synctest.Wait()
		switch hour {
		case 9:
			require.NoError(t, admin.Rotate(ctx, security, vault.RoleSeal))
		case 11:
			if rogue {
				d.rogueAt = time.Now()
				var none *process
				vaulttest.Scope(t, none.vault(t, store, as("ad-service", ads, security)), security)
			}
		}
	}
	synctest.Wait()
	return d
}

func (d *day) logs() []reconcile.Log { return logs(d.admin, d.sec, d.adsvc) }

// inDay runs check within the time of a bubble, with a day.
func inDay(t *testing.T, rogue bool, check func(t *testing.T, d *day)) {
	synctest.Test(t, func(t *testing.T) {
		d := newDay(t, rogue)
		time.Sleep(time.Hour)
		for _, p := range []*process{d.admin, d.sec, d.adsvc} {
			require.NoError(t, p.log.Close())
		}
		check(t, d)
	})
}

func TestAnHonestDay(t *testing.T) {
	inDay(t, false, func(t *testing.T, d *day) {
		d.service.records = append(d.service.records, record{at: time.Now(), action: "encrypt", purpose: security, id: "last"})
		for name, source := range map[string]func() (reconcile.Source, *reconcile.Options){
			"hcvault": func() (reconcile.Source, *reconcile.Options) {
				return reconcile.HCVault("audit.log", strings.NewReader(hcvault(d.service.records))), &reconcile.Options{Keys: transitKeys, Purposes: both}
			},
			"cloudtrail": func() (reconcile.Source, *reconcile.Options) {
				return reconcile.CloudTrail(cloudtrail(t, d.service.records)), &reconcile.Options{Keys: awsKeys, Purposes: both}
			},
		} {
			s, opts := source()
			r, err := reconcile.Run(t.Context(), d.logs(), []reconcile.Source{s}, opts)
			require.NoError(t, err, name)
			require.True(t, r.OK(), "%s\n%s", name, r)
			sec := r.Purposes["security"]
			require.GreaterOrEqual(t, sec.Seen, int64(6), "generate, open, rotate, refresh, renew")
			require.Equal(t, sec.Seen, sec.Matched)
			require.Equal(t, sec.Logged, sec.Matched)
			require.GreaterOrEqual(t, sec.Refused, int64(2), "the proof of ads, and self-tests")
			require.Zero(t, sec.Retried+sec.NotCompared)
			require.Equal(t, r.Purposes["advertising"].Seen, r.Purposes["advertising"].Matched)
			require.Len(t, r.Logs, 3)
			require.NotEmpty(t, r.NotExcluded)
		}
	})
}

func TestAProcessWithoutALog(t *testing.T) {
	inDay(t, true, func(t *testing.T, d *day) {
		d.service.records = append(d.service.records, record{at: time.Now(), action: "encrypt", purpose: security, id: "last"})
		r, err := reconcile.Run(t.Context(), d.logs(), []reconcile.Source{reconcile.HCVault("audit.log", strings.NewReader(hcvault(d.service.records)))},
			&reconcile.Options{Keys: transitKeys, Purposes: both})
		require.NoError(t, err)
		require.Equal(t, []reconcile.FindingKind{reconcile.FindingUnlogged}, kinds(r), r)
		f := r.Findings[0]
		require.WithinDuration(t, d.rogueAt, f.Time, time.Second)
		require.Equal(t, "security", f.Purpose)
		require.Equal(t, "ad-service", f.Principal)
		require.Equal(t, "192.0.2.7", f.Address)
		require.Equal(t, "transit/keys/onlyfor-security", f.Key)
		require.Contains(t, r.String(), "FOUND unlogged: ")

		r, err = reconcile.Run(t.Context(), d.logs(), []reconcile.Source{reconcile.CloudTrail(cloudtrail(t, d.service.records))},
			&reconcile.Options{Keys: awsKeys, Purposes: both})
		require.NoError(t, err)
		require.Equal(t, []reconcile.FindingKind{reconcile.FindingUnlogged}, kinds(r), r)
		require.Contains(t, r.Findings[0].Principal, "assumed-role/ad-service")

		// The same with a log that was not given: it is as if it did not exist.
		r, err = reconcile.Run(t.Context(), logs(d.admin, d.sec), []reconcile.Source{reconcile.HCVault("audit.log", strings.NewReader(hcvault(d.service.records)))},
			&reconcile.Options{Keys: transitKeys, Purposes: both})
		require.NoError(t, err)
		require.Greater(t, r.Purposes["advertising"].Unlogged, int64(0))
	})
}

func TestUnwrapsThatTheKeyServiceHasNotSeen(t *testing.T) {
	inDay(t, false, func(t *testing.T, d *day) {
		all := append(d.service.records, record{at: time.Now(), action: "encrypt", purpose: security, id: "last"})
		var kept []record
		dropped := 0
		for _, r := range all {
			if r.at.Sub(all[0].at) > 10*time.Minute && r.action == "decrypt" && !r.failed && r.principal == "security-service" {
				dropped++
				continue
			}
			kept = append(kept, r)
		}
		require.Positive(t, dropped)
		r, err := reconcile.Run(t.Context(), d.logs(), []reconcile.Source{reconcile.HCVault("audit.log", strings.NewReader(hcvault(kept)))},
			&reconcile.Options{Keys: transitKeys, Purposes: both})
		require.NoError(t, err)
		require.Equal(t, int64(dropped), r.Purposes["security"].Unseen, r)
		require.Len(t, r.Findings, dropped)
		require.Equal(t, reconcile.FindingUnseen, r.Findings[0].Kind)
		require.Equal(t, "security", r.Findings[0].Log)
		require.Contains(t, r.Findings[0].String(), fmt.Sprintf("entry %d", r.Findings[0].Entry))
	})
}
