"""What every theme's tests stand on: a daemon for the class, clients that end with the test, and tables of cases."""

import itertools
import unittest

import ttrpc_client
from daemon import Daemon
from ttrpc_client import Code, RpcError


def each(**axes):
    """Makes one test method of every combination: @each(version=("1.2", "1.3"), key=("rsa", "ecdsa")).

    A value may be anything; a dict gives its keys as names and its values as arguments.
    """
    def mark(function):
        function.axes = {name: values if isinstance(values, dict) else {str(v): v for v in values}
                         for name, values in axes.items()}
        return function

    return mark


def _bind(function, arguments):
    def test(self):
        function(self, **arguments)

    test.__doc__ = function.__doc__
    return test


def word(text):
    """A case's name as part of a method's."""
    return "".join(c if c.isalnum() else "_" for c in str(text))


class Cases(unittest.TestCase):
    """Test cases with @each."""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for name in dir(cls):
            function = getattr(cls, name)
            axes = getattr(function, "axes", None)
            if axes is None:
                continue
            setattr(cls, name, None)
            for combination in itertools.product(*(values.items() for values in axes.values())):
                case = "_".join(word(label) for label, _ in combination)
                arguments = dict(zip(axes, (value for _, value in combination)))
                method = _bind(function, arguments)
                method.__name__ = f"{name}__{case}"
                assert not hasattr(cls, method.__name__), f"two cases are called {method.__name__}"
                setattr(cls, method.__name__, method)

    def assertCode(self, code, call, /, *args, **kwargs):
        """The call fails with this code and a message for people; gives the message."""
        with self.assertRaises(RpcError) as caught:
            call(*args, **kwargs)
        self.assertEqual(caught.exception.code, code, caught.exception)
        self.assertTrue(caught.exception.message.strip(), "a status without a word for people")
        self.assertNotIn("\n", caught.exception.message)
        return caught.exception.message


class E2ETest(Cases):
    """Tests against one daemon, which must survive each of them, be idle after the last, and end well."""

    DAEMON_ARGS = ()

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(*cls.DAEMON_ARGS).start()

    @classmethod
    def tearDownClass(cls):
        try:
            cls.daemon.wait_idle()
        finally:
            cls.daemon.stop()

    def setUp(self):
        self.addCleanup(self.check_daemon)
        self.rpc = self.client()

    def check_daemon(self):
        """A dead daemon is this test's fault; the next one gets a new one."""
        if self.daemon.alive():
            return
        code, log = self.daemon.process.returncode, self.daemon.log()
        self.daemon.kill()
        type(self).daemon = Daemon(*self.DAEMON_ARGS).start()
        self.fail(f"the daemon died ({code}) and said:\n{log[-8000:]}")

    def client(self, token=None):
        """A connection that ends with the test."""
        client = ttrpc_client.Client(self.daemon.path, token)
        self.addCleanup(client.close)
        return client

    def assertUndisturbed(self, rpc):
        """Another client is served as ever."""
        self.assertEqual(rpc.agent.Ping(payload=b"still there?").payload, b"still there?")


__all__ = ["Cases", "Code", "Daemon", "E2ETest", "RpcError", "each", "word"]
