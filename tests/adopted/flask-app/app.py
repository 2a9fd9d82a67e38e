import flask

app = flask.Flask(__name__)


@app.route("/score", methods=["POST"])
def score():
    return flask.jsonify({"score": 0.5})


if __name__ == "__main__":
    app.run()
