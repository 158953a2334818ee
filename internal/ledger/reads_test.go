package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

func TestWhatOneTookNoOtherFinds(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		asked := make([]action.AskedRead, 5)
		for i := range asked {
			asked[i] = action.AskedRead{Asker: "one", Number: fmt.Sprint(i), EndpointID: device(i).EndpointID}
			if err := r.Ask(t.Context(), dev.TenantID, asked[i]); err != nil {
				t.Fatal(err)
			}
		}
		claim := func(taker, tenant string, mine bool, want int) {
			t.Helper()
			if n, turn, err := r.Claim(t.Context(), tenant, taker, time.Minute); n != want || turn != mine || err != nil {
				t.Errorf("%s: %d %v %v; want %d %v", taker, n, turn, err, want, mine)
			}
		}
		take := func(taker string, want ...action.AskedRead) {
			t.Helper()
			got, err := r.Take(t.Context(), dev.TenantID, taker, 3, time.Minute)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%s: %v %s", taker, err, diff)
			}
		}
		claim("one", dev.TenantID, true, 5)
		take("two")
		claim("two", dev.TenantID, false, 0)
		claim("two", "another tenant", true, 0)
		take("one", asked[:3]...)
		claim("two", dev.TenantID, false, 0)
		claim("one", dev.TenantID, true, 2)
		take("one", asked[3:]...)
		claim("two", dev.TenantID, false, 0)
		claim("one", dev.TenantID, true, 0)
		claim("two", dev.TenantID, true, 0)
		if err := r.Ask(t.Context(), dev.TenantID, asked[0]); err != nil {
			t.Fatal(err)
		}
		take("two", asked[0]) // it was nobody's turn
		claim("one", dev.TenantID, false, 0)
	})
}

func TestATurnAtReadingEndsByItself(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		read := action.AskedRead{Asker: "one", Number: "1", EndpointID: dev.EndpointID}
		if err := r.Ask(t.Context(), dev.TenantID, read); err != nil {
			t.Fatal(err)
		}
		if _, mine, err := r.Claim(t.Context(), dev.TenantID, "one", time.Minute); !mine || err != nil {
			t.Fatal(mine, err)
		}
		key := "rollcall:{" + dev.TenantID + "}:reads:turn"
		if ttl, err := r.rdb.PTTL(t.Context(), key).Result(); ttl <= 0 || ttl > time.Minute || err != nil {
			t.Errorf("it lasts %s: %v", ttl, err)
		}
		if _, err := r.Take(t.Context(), dev.TenantID, "one", 3, time.Hour); err != nil {
			t.Fatal(err)
		}
		if ttl, err := r.rdb.PTTL(t.Context(), key).Result(); ttl <= time.Minute || err != nil {
			t.Errorf("after reads were taken it lasts %s: %v", ttl, err)
		}
	})
}

func TestAnswersComeToWhoAskedAsTheyWereGiven(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
		want := []action.ReadAnswer{
			{Number: "1", Live: policy.Live{
				Status: policy.LiveFound, At: at, CentralTime: policy.Is(at),
				Device: policy.Device{ID: policy.Is("x"), Hostname: policy.Garbled[string](), Online: policy.Is(false), MACAddresses: []string{"02:00:5E:00:00:01"}},
			}},
			{Number: "2", Live: policy.Live{Status: policy.LiveNotFound, At: at}},
			{
				Number:  "3",
				Live:    policy.Live{Status: policy.LiveFailed, At: at, Own: true, Problem: "p", RetryAfter: time.Minute},
				Trouble: &action.Trouble{Class: action.Transient, Status: 429, CorrelationID: "c", Text: "p", RetryAfter: time.Minute, Limited: true, Own: true, Outage: true},
			},
		}
		if err := r.Answer(t.Context(), "one", want); err != nil {
			t.Fatal(err)
		}
		if err := r.Answer(t.Context(), "two", want[:1]); err != nil {
			t.Fatal(err)
		}
		got, err := r.Answers(t.Context(), "one", time.Second)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v %s", err, diff)
		}
		if got, err := r.Answers(t.Context(), "one", time.Second); len(got) > 0 || err != nil {
			t.Errorf("once more: %v %v", got, err)
		}
	})
}

func TestReadsThatNobodyTakesRunOut(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		if err := r.Ask(t.Context(), dev.TenantID, action.AskedRead{Asker: "one"}); err != nil {
			t.Fatal(err)
		}
		if err := r.Answer(t.Context(), "one", []action.ReadAnswer{{Number: "1"}}); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"rollcall:answers:one", "rollcall:{" + dev.TenantID + "}:reads"} {
			if ttl, err := r.rdb.PTTL(t.Context(), key).Result(); ttl <= 0 || ttl > time.Minute || err != nil {
				t.Errorf("%s stays %s: %v", key, ttl, err)
			}
		}
	})
}
