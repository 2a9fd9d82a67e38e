import flask

app = flask.Flask(__name__)


@app.route("/ping", methods=["GET"])
def ping():
    return flask.Response(status=200)


@app.route("/invocations", methods=["POST"])
def invocations():
    if flask.request.content_type != "application/json":
        return flask.Response("JSON only", status=415)
    return flask.jsonify({"predictions": [0]})
