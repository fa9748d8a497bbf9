package egress_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/egress"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// The gateway gets the plaintext, the program the sealed text, and the log one event a
// value with the host.
func TestFormIsFilled(t *testing.T) {
	g := newGateway(t, func(w http.ResponseWriter, r received) {
		fmt.Fprintf(w, `<Message to="%s" sid="SM1"/>`, must(url.ParseQuery(r.body)).Get("To"))
	})
	c := g.client(t, egress.Form[pii.Phone]("To"))
	form := url.Values{"To": {text(t, g.phone)}, "Body": {"Your code is 123 & more"}}
	resp, body, err := post(t, c, g.URL+"/send", formType, form.Encode())
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, `<Message to="`+text(t, g.phone)+`" sid="SM1"/>`, body)
	require.Equal(t, "Body=Your+code+is+123+%26+more&To=%2B14155552671", g.seen()[0].body)
	require.Equal(t, "POST", resp.Request.Method)

	events := g.kit.Audit.Events()
	require.Len(t, events, 1)
	require.Equal(t, []any{audit.Send, audit.Allowed, security, "phone", g.host()},
		[]any{events[0].Action, events[0].Outcome, events[0].Purpose, events[0].Kind, events[0].Recipient})
}

func TestJSONIsFilled(t *testing.T) {
	g := newGateway(t, func(w http.ResponseWriter, r received) { w.Write([]byte(r.body)) })
	c := g.client(t, egress.JSON[pii.Email]("/personalizations/*/to/*/email"), egress.JSON[pii.Phone]("/sms"))
	message := map[string]any{
		"personalizations": []any{map[string]any{"to": []any{map[string]any{"email": g.email, "name": "A"}, map[string]any{"email": g.email}}}},
		"sms":              g.phone, "subject": "Hello <you> & \u2028", "n": 1.5e3, "nothing": nil,
	}
	sealed := must(json.Marshal(message))
	_, body, err := post(t, c, g.URL+"/send", jsonType, string(sealed))
	require.NoError(t, err)
	require.Equal(t, string(sealed), body)
	want := map[string]any{}
	require.NoError(t, json.Unmarshal([]byte(g.seen()[0].body), &want))
	to := want["personalizations"].([]any)[0].(map[string]any)["to"].([]any)
	require.Equal(t, address, to[0].(map[string]any)["email"])
	require.Equal(t, address, to[1].(map[string]any)["email"])
	require.Equal(t, number, want["sms"])
	require.Len(t, g.kit.Audit.Events(), 3)
}

func jsonOf(v any) ([]byte, error) { return json.Marshal(v) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
