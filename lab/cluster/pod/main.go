// The one program of the lab's image: a pause, a server and a client, so that tests need no foreign image.
//
//	pod                 waits for a signal and reaps what is left to it (the sandbox of every pod)
//	pod serve ADDRESS   HTTP; answers with its host name and the address it saw, one line of log per request
//	pod fetch URL       prints what the URL answers; ends with 1 if it does not within five seconds
//	pod fetch URL CA ADDRESS
//	                    the same, trusting the authorities in the file CA only and asking at ADDRESS whatever the URL's host
//	pod hostname        prints the host name
//	pod kernel          prints the kernel's release (gVisor answers with its own)
//	pod burn SECONDS    keeps one processor busy for that long, then waits like `pod`
//
// And what the lab's own machines run (relay.go, follow.go):
//
//	pod relay ADDRESS SOCKET
//	                    hands TCP connections to ADDRESS, and to its port on loopback, on to a unix socket, with who they are from
//	pod follow FROM TO  keeps the file TO a copy of the file FROM
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	var err error
	switch words := os.Args[1:]; {
	case len(words) == 0:
		pause()
	case words[0] == "serve" && len(words) == 2:
		go pause()
		err = serve(words[1])
	case words[0] == "fetch" && len(words) == 2:
		err = fetch(words[1], http.DefaultTransport)
	case words[0] == "fetch" && len(words) == 4:
		err = fetchAt(words[1], words[2], words[3])
	case words[0] == "hostname" && len(words) == 1:
		fmt.Println(hostname())
	case words[0] == "kernel" && len(words) == 1:
		err = kernel()
	case words[0] == "burn" && len(words) == 2:
		go burn(words[1])
		pause()
	case words[0] == "relay" && len(words) == 3:
		err = relay(words[1], words[2])
	case words[0] == "follow" && len(words) == 3:
		err = follow(words[1], words[2])
	default:
		err = fmt.Errorf("not understood: %s; usage: pod [serve ADDRESS | fetch URL [CA ADDRESS] | hostname | kernel | burn SECONDS | relay ADDRESS SOCKET | follow FROM TO]", strings.Join(words, " "))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// The first process of a pid namespace inherits its orphans.
func pause() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			os.Exit(0)
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}

func serve(address string) error {
	server := http.Server{
		Addr:              address,
		ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
			from, _, _ := net.SplitHostPort(request.RemoteAddr)
			fmt.Printf("%s %s from %s\n", request.Method, request.URL.Path, from)
			fmt.Fprintf(answer, "%s saw %s\n", hostname(), from)
		}),
	}
	fmt.Println("serving", address)
	return server.ListenAndServe()
}

func fetch(url string, by http.RoundTripper) error {
	client := http.Client{Timeout: 5 * time.Second, Transport: by}
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	_, err = io.Copy(os.Stdout, io.LimitReader(answer.Body, 1<<20))
	return err
}

func fetchAt(url, authorities, address string) error {
	pem, err := os.ReadFile(authorities)
	if err != nil {
		return err
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate", authorities)
	}
	return fetch(url, &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12},
		DialContext: func(within context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(within, network, address)
		},
	})
}

func burn(seconds string) {
	n, err := strconv.ParseUint(seconds, 10, 16)
	if err != nil {
		fmt.Fprintf(os.Stderr, "burn: %q is not a number of seconds\n", seconds)
		os.Exit(1)
	}
	for end := time.Now().Add(time.Duration(n) * time.Second); time.Now().Before(end); {
	}
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "?"
	}
	return name
}

func kernel() error {
	var name syscall.Utsname
	if err := syscall.Uname(&name); err != nil {
		return err
	}
	release := make([]byte, 0, len(name.Release))
	for _, c := range name.Release {
		if c == 0 {
			break
		}
		release = append(release, byte(c))
	}
	fmt.Println(string(release))
	return nil
}
