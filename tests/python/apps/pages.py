"""requests and urllib3 with all that a company's network asks of them.

  pages.py VERB ORDER      ORDER is JSON; prints the answer as JSON

get: one page by one requests.Session, several times. resume: by urllib3, each time by a new connection that takes up the
TLS session of the one before. fail: what the exception says.
"""

import json
import ssl
import sys

import requests
import urllib3

import surroundings


def session_for(order):
    session = requests.Session()
    session.trust_env = False  # no proxy but the order's
    session.verify = order["ca"]
    session.cert = tuple(order["client"]) if "client" in order else None
    session.proxies = {"https": order["proxy"]} if "proxy" in order else {}
    return session


def get(order):
    with session_for(order) as session:
        answers = []
        for _ in range(order.get("times", 1)):
            answer = session.get(order["url"], timeout=30)
            answer.raise_for_status()
            answers.append(answer.json())
        sent = bytes(range(256)) * 1024
        posted = session.post(order["url"], data=sent, timeout=30).content
        return {"answers": answers, "posted": posted == sent[::-1]}


def fail(order):
    try:
        with session_for(order) as session:
            session.get(order["url"], timeout=30)
    except requests.exceptions.RequestException as error:
        return {"type": type(error).__name__, "text": str(error)}
    return {"type": "", "text": ""}


class RememberedSocket(ssl.SSLSocket):
    """Its session is taken at the end: TLS 1.3 has none before the first answer."""

    def close(self):
        if self.session is not None:
            self.context.last_session, self.context.was_reused = self.session, self.session_reused
        super().close()


class ResumingContext(ssl.SSLContext):
    """Every connection takes up the last one's session, as browsers do."""

    sslsocket_class = RememberedSocket
    last_session = was_reused = None

    def wrap_socket(self, *args, **kwargs):
        return super().wrap_socket(*args, session=self.last_session, **kwargs)


def resume(order):
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(order["ca"])
    context.load_cert_chain(*order["client"])
    context.maximum_version = getattr(ssl.TLSVersion, order["version"])
    answers = []
    for _ in range(order["times"]):
        with urllib3.PoolManager(ssl_context=context) as pool:
            answers.append(json.loads(pool.request("GET", order["url"], retries=False).data))
        answers[-1]["client_says_reused"] = context.was_reused
    return {"answers": answers}


def main():
    verb, order = sys.argv[1], json.loads(sys.argv[2])
    answer = {"get": get, "fail": fail, "resume": resume}[verb](order)
    surroundings.check()
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
