package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

const (
	smsHost  = "api.sms.example"
	mailHost = "api.mail.example"

	account = "AC00000000000000000000000000000001"
	token   = "sms token"
	apiKey  = "mail key"
)

// Gateways are the three servers that get plaintext.
type gateways struct {
	roots    *x509.CertPool
	apiAddr  string
	smtpAddr string
	close    func()

	mu  sync.Mutex
	got []string
}

// base returns a transport that finds the hosts of the APIs, and trusts their authority.
func (g *gateways) base() *http.Transport {
	dialer := new(net.Dialer)
	return &http.Transport{TLSClientConfig: g.trust(), DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, g.apiAddr)
	}}
}

func (g *gateways) trust() *tls.Config { return &tls.Config{RootCAs: g.roots} }

func (g *gateways) keep(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.got = append(g.got, fmt.Sprintf(format, args...))
}

// received returns the values that the gateways got since the last call.
func (g *gateways) received() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	got := g.got
	g.got = nil
	return got
}

func startGateways() (*gateways, error) {
	g := &gateways{}
	certificate, err := g.authority()
	if err != nil {
		return nil, err
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	apis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	mails, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		apis.Close()
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+smsHost+"/2010-04-01/Accounts/{account}/Messages.json", g.messages)
	mux.HandleFunc("POST "+mailHost+"/v3/mail/send", g.mailSend)
	web := &http.Server{Handler: mux, TLSConfig: config.Clone(), ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	post := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &mailSession{g: g}, nil }))
	post.Domain, post.TLSConfig = "smtp.example", config
	post.ErrorLog = log.New(io.Discard, "", 0)
	var running sync.WaitGroup
	running.Go(func() { _ = web.ServeTLS(apis, "", "") })
	running.Go(func() { _ = post.Serve(mails) })
	g.apiAddr, g.smtpAddr = apis.Addr().String(), mails.Addr().String()
	g.close = func() {
		_ = web.Close()
		_ = post.Close()
		running.Wait()
	}
	return g, nil
}

// authority makes a certificate authority, and a certificate of it for the gateways.
func (g *gateways) authority() (tls.Certificate, error) {
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err) // the random source of the system failed
		}
		return key
	}
	caKey, key := newKey(), newKey()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of the example"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caBytes, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	parsed, err := x509.ParseCertificate(caBytes)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{smsHost, mailHost}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotAfter: ca.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leafBytes, err := x509.CreateCertificate(rand.Reader, leaf, parsed, key.Public(), caKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	g.roots = x509.NewCertPool()
	g.roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{leafBytes}, PrivateKey: key}, nil
}

// messages answers like the Messages resource of Twilio: the number is in the answer, and in
// the text of an error.
func (g *gateways) messages(w http.ResponseWriter, r *http.Request) {
	if name, password, ok := r.BasicAuth(); !ok || name != account || password != token || r.PathValue("account") != account {
		answer(w, http.StatusUnauthorized, map[string]any{"code": 20003, "message": "Authenticate", "status": 401})
		return
	}
	to := r.PostFormValue("To")
	g.keep("To=%s", to)
	if strings.HasPrefix(to, "+1500") {
		answer(w, http.StatusBadRequest, map[string]any{"code": 21211, "message": "Invalid 'To' Phone Number: " + to, "status": 400})
		return
	}
	answer(w, http.StatusCreated, map[string]any{"sid": "SM1", "status": "queued", "to": to})
}

// mailSend answers like the Mail Send resource of SendGrid.
func (g *gateways) mailSend(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+apiKey {
		answer(w, http.StatusUnauthorized, map[string]any{"errors": []any{map[string]any{"message": "authorization required"}}})
		return
	}
	var body struct {
		Personalizations []struct{ To []struct{ Email string } }
		From             struct{ Email string }
		Subject          string
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body.Personalizations) == 0 {
		answer(w, http.StatusBadRequest, map[string]any{"errors": []any{map[string]any{"message": "Bad Request"}}})
		return
	}
	for _, p := range body.Personalizations {
		for _, to := range p.To {
			g.keep("email %s", to.Email)
		}
	}
	w.Header().Set("X-Message-Id", "1")
	w.WriteHeader(http.StatusAccepted)
}

func answer(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	text, _ := json.Marshal(body)
	_, _ = w.Write(text)
}

// A mailSession is a connection to the mail server.
type mailSession struct {
	g  *gateways
	in bool
}

func (*mailSession) Reset()                   {}
func (*mailSession) Logout() error            { return nil }
func (*mailSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *mailSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, name, password string) error {
		if name != "shop" || password != "smtp password" {
			return smtp.ErrAuthFailed
		}
		s.in = true
		return nil
	}), nil
}

func (s *mailSession) Mail(string, *smtp.MailOptions) error {
	if !s.in {
		return smtp.ErrAuthRequired
	}
	return nil
}

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.g.keep("RCPT TO:<%s>", to)
	if strings.HasPrefix(to, "nobody@") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "<" + to + ">: User unknown"}
	}
	return nil
}

func (s *mailSession) Data(r io.Reader) error {
	message, err := io.ReadAll(r)
	for line := range strings.Lines(string(message)) {
		if strings.HasPrefix(line, "To: ") {
			s.g.keep("%s", strings.TrimSpace(line))
		}
	}
	return err
}
